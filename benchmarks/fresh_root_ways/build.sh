# A checkout on a machine with python3 only, and no kernel to fetch: it is built.
# shellcheck shell=sh
rm /wheels/handshake_lab_kernel-*.whl
cp -r /checkout /root/handshake-lab
cd /root/handshake-lab || exit
timed './handshake demo, with its packages and a build' ./handshake demo --plain >/tmp/shown 2>/tmp/said
grep -v '^ *[0-9.]* *%' /tmp/said | sed 's/^/    /'
echo "sha256 of linux: $(digest "$(echo /root/.cache/handshake-lab/kernels/*/linux)")"
./handshake cache list
./handshake cache clean
du -sh /root/.cache/handshake-lab

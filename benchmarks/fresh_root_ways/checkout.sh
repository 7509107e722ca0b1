# A checkout on a machine with python3 only, and a kernel to fetch: the released wheel, where pip searches.
# shellcheck shell=sh
cp -r /checkout /root/handshake-lab
cd /root/handshake-lab || exit
timed './handshake demo, with its packages' ./handshake demo --plain >/tmp/shown 2>/tmp/said
sed 's/^/    /' /tmp/said
tail -n 1 /tmp/shown
nothing_was_compiled

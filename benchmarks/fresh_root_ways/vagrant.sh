# The provisioning of the Vagrant box, as the ordinary user of a box, with sudo.
# shellcheck shell=sh
install sudo
useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
cp -r /checkout /vagrant
chown -R vagrant /vagrant
timed 'vagrant/provision.sh' as vagrant 'sh /vagrant/vagrant/provision.sh /vagrant' >/tmp/shown 2>/tmp/said || { tail /tmp/shown /tmp/said; fail provision.sh; }
sed 's/^/    /' /tmp/said
as vagrant 'cd / && handshake demo --plain' | tail -n 1

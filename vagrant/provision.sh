#!/bin/sh
# Sets up the virtual machine that ../Vagrantfile describes, as its ordinary user, with ./handshake.
# At the end it records a connection, which must behave as documented.
#
#   provision.sh DIRECTORY      DIRECTORY is the checkout: /vagrant
set -eu

sudo ln -sfn "$1/handshake" /usr/local/bin/handshake
cd "$1"
case $(uname -m) in
	x86_64)
		# Fetches the released lab kernel, or builds one.
		./handshake demo --plain
		;;
	*)
		# The lab kernel, User-Mode Linux, is for x86 only.
		./handshake demo --kernel host --plain
		;;
esac

/* The first program in a stock kernel's virtual machine. The initial file system contains this program,
 * the modules for access to the host's files, and /modules, which lists them in the order of loading.
 *
 * It loads the modules, mounts the host's root as its own, read-only (9p), and executes the program
 * that HANDSHAKE_INIT on the kernel's command line names there. Without HANDSHAKE_INIT it prints a line
 * and powers off: `handshake_lab.kernel.vm.qemu` tests in this way whether KVM works.
 *
 * Source: Documentation/filesystems/ramfs-rootfs-initramfs.rst, Documentation/filesystems/9p.rst,
 * init_module(2). Like switch_root(8) it moves the root before chroot(); kernel
 * threads share this process's root directory (init/main.c, rest_init: CLONE_FS), so that the kernel
 * also finds modules that it requests later in the host's files.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROOT "trans=virtio,version=9p2000.L,msize=262144,cache=loose"

static int give_up(const char *what)
{
	fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
	reboot(RB_POWER_OFF);
	return 1;
}

static int load(const char *module)
{
	int file = open(module, O_RDONLY | O_CLOEXEC);
	int failed = file < 0 || (syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST);

	if (file >= 0)
		close(file);
	return failed;
}

int main(void)
{
	char *program[] = { getenv("HANDSHAKE_INIT"), NULL };
	char *environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	char name[256];
	FILE *modules;

	if (!program[0]) {
		puts("init: alive");
		fflush(stdout);
		reboot(RB_POWER_OFF);
	}
	modules = fopen("/modules", "r");
	if (!modules)
		return give_up("/modules");
	while (fgets(name, sizeof(name), modules)) {
		name[strcspn(name, "\n")] = 0;
		if (load(name))
			return give_up(name);
	}
	fclose(modules);
	if (mount("root", "/root", "9p", MS_RDONLY, ROOT))
		return give_up("mounting the host's files");
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return give_up("changing to the host's files");
	execve(program[0], program, environment);
	return give_up(program[0]);
}

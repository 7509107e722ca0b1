/* The supervisor: starts a program, and sees to it that nothing of it stays.
 *
 *   supervisor STATUS SCRATCH WALL_SECONDS pinned|free [NAME=VALUE ...] -- PROGRAM [ARGUMENT ...]
 *
 * fd 0  the lifeline: a pipe whose other end only the caller holds. One byte
 *       starts the program, a second one kills it; the pipe's end (the caller died
 *       or is done) ends everything.
 * fd 1  the program's console.
 * STATUS is the number of a descriptor that gets the status, in lines: "ready", then
 * "exit N", "signal N", "timeout" or "killed", or "error TEXT" where the program could not
 * be started.
 *
 * SCRATCH, the program's working directory, is made here, so that there is no moment in which it exists and nobody
 * answers for it; it is removed when the lifeline ends. The program gets a process
 * group of its own (a lab kernel's processes share it), and for its environment what
 * is given, or the supervisor's own if nothing is.
 *
 * "pinned" keeps the program on one processor: a lab kernel and its processes take
 * turns and never run at the same time, and a hand-over between two processors
 * costs two and a half times as much. Processors are shared out through abstract
 * socket names, which cannot outlive their holder. It also switches address randomization
 * off, so that a lab kernel's addresses are the same in every run: User-Mode Linux 7.3 does
 * that itself, 6.1 does not.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIFELINE = 0, CONSOLE = 1, MAX_ENVIRONMENT = 32 };

static int status_fd;

static void say(const char *what, long number)
{
	/* The caller may be gone: then there is nobody to tell, and the lifeline says so. */
	if (number >= 0)
		dprintf(status_fd, "%s %ld\n", what, number);
	else
		dprintf(status_fd, "%s\n", what);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st; (void)flag; (void)ftw;
	return remove(path);
}

static int remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void pin_to_a_free_processor(void)
{
	cpu_set_t allowed, one;
	int chosen = -1, count = 0, nth;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && chosen < 0; cpu++) {
		struct sockaddr_un name = { .sun_family = AF_UNIX };
		int length, fd;

		if (!CPU_ISSET(cpu, &allowed))
			continue;
		count++;
		length = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "handshake-lab/processor/%d", cpu);
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && bind(fd, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 1 + length) == 0)
			chosen = cpu; /* held until this process ends */
		else if (fd >= 0)
			close(fd);
	}
	if (count == 0)
		return;
	nth = getpid() % count;
	for (int cpu = 0; cpu < CPU_SETSIZE && chosen < 0; cpu++)
		if (CPU_ISSET(cpu, &allowed) && nth-- == 0)
			chosen = cpu;
	CPU_ZERO(&one);
	CPU_SET(chosen, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void prepare_for_a_lab_kernel(void)
{
	pin_to_a_free_processor();
	personality(ADDR_NO_RANDOMIZE);
}

static pid_t start(const char *directory, char **environment, char **program, pid_t supervisor)
{
	pid_t child = fork();

	if (child == 0) {
		sigset_t none;
		int null = open("/dev/null", O_RDONLY);

		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != supervisor)
			_exit(127);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		fcntl(status_fd, F_SETFD, FD_CLOEXEC);
		dup2(null, 0);
		dup2(CONSOLE, 2);
		if (chdir(directory) == 0)
			execve(program[0], program, environment);
		dprintf(status_fd, "error %s: %s\n", program[0], strerror(errno));
		_exit(127);
	}
	if (child > 0)
		setpgid(child, child);
	return child;
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* Kills the whole group and waits until every process of it is gone. */
static void end_group(pid_t group)
{
	kill(-group, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	char *environment[MAX_ENVIRONMENT + 1] = { 0 };
	const char *scratch;
	int word = 5, variables = 0, signals, status = 0, pid_ended = 0;
	long deadline;
	sigset_t watched;
	pid_t child;
	char byte;

	while (word < argc && strcmp(argv[word], "--") && variables < MAX_ENVIRONMENT)
		environment[variables++] = argv[word++];
	if (argc < 7 || word + 1 >= argc || strcmp(argv[word], "--")) {
		fprintf(stderr, "usage: supervisor SCRATCH WALL_SECONDS [NAME=VALUE ...] -- PROGRAM [ARGUMENT ...]\n");
		return 2;
	}
	status_fd = atoi(argv[1]);
	scratch = argv[2];

	/* Ctrl-C in the caller's terminal is the caller's to answer, by ending the lifeline. */
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGHUP);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);

	if (mkdir(scratch, 0700) < 0) {
		dprintf(status_fd, "error %s: %s\n", scratch, strerror(errno));
		return 1;
	}
	say("ready", -1);
	if (read(LIFELINE, &byte, 1) != 1) {
		remove_tree(scratch);
		return 0;
	}

	if (!strcmp(argv[4], "pinned"))
		prepare_for_a_lab_kernel(); /* inherited; the processor's name is held here */
	child = start(scratch, variables ? environment : environ, argv + word + 1, getpid());
	if (child < 0) {
		dprintf(status_fd, "error fork: %s\n", strerror(errno));
		remove_tree(scratch);
		return 1;
	}
	deadline = milliseconds() + atol(argv[3]) * 1000L;
	while (!pid_ended) {
		struct pollfd sources[2] = { { .fd = LIFELINE, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
		struct signalfd_siginfo received;
		long left = deadline - milliseconds();

		if (left <= 0) {
			end_group(child);
			say("timeout", -1);
			break;
		}
		poll(sources, 2, (int)left);
		if (sources[0].revents && read(LIFELINE, &byte, 1) == 1) {
			end_group(child);
			say("killed", -1);
			break;
		}
		if (sources[0].revents) {
			end_group(child);
			remove_tree(scratch);
			return 0;
		}
		while (read(signals, &received, sizeof(received)) == sizeof(received))
			if (received.ssi_signo != SIGCHLD) {
				end_group(child);
				remove_tree(scratch);
				return 1;
			}
		for (pid_t gone; (gone = waitpid(-1, &status, WNOHANG)) > 0;)
			if (gone == child) {
				pid_ended = 1;
				break;
			}
	}
	if (pid_ended) {
		end_group(child);
		if (WIFSIGNALED(status))
			say("signal", WTERMSIG(status));
		else
			say("exit", WEXITSTATUS(status));
	}
	close(status_fd);
	close(CONSOLE);
	while (read(LIFELINE, &byte, 1) > 0)
		;
	return remove_tree(scratch) < 0;
}

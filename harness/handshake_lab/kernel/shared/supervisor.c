/* The supervisor starts a program, and removes all its processes and files when it ends.
 *
 *   supervisor STATUS SCRATCH WALL_SECONDS pinned|free FORKS [NAME=VALUE ...] -- PROGRAM [ARGUMENT ...]
 *
 * fd 0  the lifeline: a pipe of which only the caller has the other end. The first byte
 *       starts the program, the second one kills it. When the caller closes the pipe or
 *       dies, everything is ended and removed.
 * fd 1  the program's console.
 * STATUS is the number of a descriptor to which the supervisor writes lines: "ready", then
 * "exit N", "signal N", "timeout" or "killed", or "error TEXT" if the program could not
 * be started. A lab kernel that can be forked reports "parked" in between.
 *
 * SCRATCH, the program's working directory, is created by the supervisor, so that at any time a process is
 * responsible for it; it is removed when the lifeline is closed. The program gets a new process
 * group (which a lab kernel's processes share). Its environment consists of the given variables;
 * if there are none, it is that of the supervisor.
 *
 * "pinned" keeps the program on one processor: a lab kernel and its processes run
 * alternately, never at the same time, and a switch between two processors takes
 * two and a half times as long. An abstract socket name marks a processor as used; it
 * is released when the supervisor ends. "pinned" also switches address randomization
 * off, so that a lab kernel's addresses are the same in every run: User-Mode Linux 7.3 does
 * that itself, 6.1 does not.
 *
 * FORKS is the number of a SOCK_SEQPACKET socket, or "-". With a socket, the program is a lab kernel that can be
 * forked: it gets the argument machine_fork=N, and the caller sends a datagram "MACHINE WALL_SECONDS SCRATCH" for
 * each fork, with three descriptors: its lifeline, its status and its console. MACHINE is the number of the
 * machine to fork: 0 is the program itself, n the n-th requested fork. A fork is supervised like the program:
 * it has its own scratch directory, limit and lifeline. The guest reads SCRATCH and, if the datagram has a second
 * line, that line.
 * Forks are children of the supervisor (CLONE_PARENT), and therefore independent of the machine they were forked from.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
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

enum { LIFELINE = 0, CONSOLE = 1, MAX_ENVIRONMENT = 32, MAX_MACHINES = 512, MAX_ARGUMENTS = 64 };

enum state {
	UNUSED,
	WAITING, /* for the byte that starts it */
	FORKING, /* until it reports "started" */
	RUNNING,
	PARKED,
	ENDED, /* the scratch directory is still there */
};

struct machine {
	enum state state;
	long number;
	pid_t pid;
	int lifeline, status, console, control; /* -1: closed */
	long parent;
	long wall_limit, deadline; /* milliseconds */
	int asked; /* how often, what it does */
	char *scratch;
	char *text; /* for the guest of a fork */
};

static struct machine machines[MAX_MACHINES];
static bool can_fork;
static bool answers; /* a lab kernel says what it does when it is sent SIGUSR2 */
static int forks_fd = -1;
static long forks_asked;

static void report(struct machine *machine, const char *format, ...)
{
	va_list values;

	/* Errors are ignored: if the caller has died, the lifeline is closed. */
	va_start(values, format);
	vdprintf(machine->status, format, values);
	va_end(values);
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

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
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

/* --- Beginning ----------------------------------------------------------------------------- */

static void make_scratch(struct machine *machine)
{
	machine->state = WAITING;
	if (mkdir(machine->scratch, 0700) == 0) {
		report(machine, "ready\n");
		return;
	}
	report(machine, "error %s: %s\n", machine->scratch, strerror(errno));
	free(machine->scratch);
	machine->scratch = NULL; /* not created here, so not removed here */
	machine->state = ENDED;
}

static void start_program(struct machine *machine, char **environment, char **program)
{
	pid_t supervisor = getpid();
	int sockets[2] = { -1, -1 };
	char option[32];

	if (can_fork && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0) {
		snprintf(option, sizeof(option), "machine_fork=%d", sockets[1]);
		for (int i = 0; i < MAX_ARGUMENTS; i++)
			if (!program[i]) {
				program[i] = option;
				program[i + 1] = NULL;
				break;
			}
	}
	machine->pid = fork();
	if (machine->pid == 0) {
		sigset_t none;
		int null = open("/dev/null", O_RDONLY);

		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != supervisor)
			_exit(127);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		dup2(null, 0);
		dup2(CONSOLE, 2);
		if (sockets[1] >= 0)
			fcntl(sockets[1], F_SETFD, 0);
		if (chdir(machine->scratch) == 0)
			execve(program[0], program, environment);
		report(machine, "error %s: %s\n", program[0], strerror(errno));
		_exit(127);
	}
	if (sockets[1] >= 0)
		close(sockets[1]);
	machine->control = sockets[0];
	close_one(&machine->console);
	if (machine->pid < 0) {
		report(machine, "error fork: %s\n", strerror(errno));
		machine->state = ENDED;
		return;
	}
	setpgid(machine->pid, machine->pid);
	machine->state = RUNNING;
	machine->deadline = milliseconds() + machine->wall_limit;
}

static struct machine *find_machine(long number)
{
	for (int i = 0; i < MAX_MACHINES; i++)
		if (machines[i].state != UNUSED && machines[i].number == number)
			return &machines[i];
	return NULL;
}

/* Requests a fork of a parked machine; the fork reports on its own control socket. */
static void start_fork(struct machine *machine)
{
	struct machine *parent = find_machine(machine->parent);
	union {
		char data[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	struct iovec text = { machine->text, strlen(machine->text) };
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1,
		.msg_control = ancillary.data, .msg_controllen = sizeof(ancillary.data),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int sockets[2], sent = -1;

	machine->state = ENDED;
	if (!parent || parent->state != PARKED) {
		report(machine, "error machine %ld is not parked\n", machine->parent);
	} else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
		report(machine, "error socketpair: %s\n", strerror(errno));
	} else {
		int passed[2] = { machine->console, sockets[1] };

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(passed));
		memcpy(CMSG_DATA(header), passed, sizeof(passed));
		sent = sendmsg(parent->control, &message, MSG_NOSIGNAL);
		if (sent < 0) {
			report(machine, "error asking the parked machine: %s\n", strerror(errno));
			close(sockets[0]);
		} else {
			machine->control = sockets[0];
			machine->state = FORKING;
			machine->deadline = milliseconds() + machine->wall_limit;
		}
		close(sockets[1]);
	}
	close_one(&machine->console);
}

static void take_request(void)
{
	char words[4096 + 64];
	int fds[3] = { -1, -1, -1 }, begin = 0;
	union {
		char data[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} ancillary;
	struct iovec text = { words, sizeof(words) - 1 };
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1,
		.msg_control = ancillary.data, .msg_controllen = sizeof(ancillary.data),
	};
	ssize_t length = recvmsg(forks_fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	struct machine *machine = NULL;

	if (length <= 0) {
		close_one(&forks_fd); /* the caller has died or is finished: its lifeline is closed as well */
		return;
	}
	words[length] = 0;
	if (header && header->cmsg_len == CMSG_LEN(sizeof(fds)))
		memcpy(fds, CMSG_DATA(header), sizeof(fds));
	for (int i = 1; i < MAX_MACHINES && !machine; i++)
		if (machines[i].state == UNUSED)
			machine = &machines[i];
	forks_asked++;
	if (!machine) {
		dprintf(fds[1], "error more than %d machines at once\n", MAX_MACHINES);
		for (int i = 0; i < 3; i++)
			close_one(&fds[i]);
		return;
	}
	*machine = (struct machine){ .number = forks_asked, .lifeline = fds[0], .status = fds[1], .console = fds[2], .control = -1 };
	if (sscanf(words, "%ld %ld %n", &machine->parent, &machine->wall_limit, &begin) < 2)
		begin = length;
	machine->wall_limit *= 1000;
	machine->text = strdup(words + begin);
	machine->scratch = strndup(words + begin, strcspn(words + begin, "\n"));
	make_scratch(machine);
}

/* --- Ending -------------------------------------------------------------------------------- */

static bool receive_report(struct machine *machine, int flags)
{
	char text[64];
	ssize_t length = recv(machine->control, text, sizeof(text) - 1, flags);
	int pid;

	if (length <= 0)
		return false;
	text[length] = 0;
	if (sscanf(text, "started %d", &pid) == 1) {
		machine->pid = pid;
		setpgid(pid, pid);
		machine->state = RUNNING;
	} else if (!strcmp(text, "parked")) {
		machine->state = PARKED;
		report(machine, "parked\n");
	}
	return true;
}

/* Kills the process group of a machine and waits until all its processes have ended. A program other than a lab kernel
 * may have processes outside of its group; for it, all children are waited for. */
static void end_group(struct machine *machine)
{
	if (machine->state == FORKING) {
		/* A fork that cannot report its start exits; a report that was already sent is read here. */
		shutdown(machine->control, SHUT_RDWR);
		receive_report(machine, MSG_DONTWAIT);
	}
	if (machine->pid > 0) {
		kill(-machine->pid, SIGKILL);
		while (waitpid(can_fork ? -machine->pid : -1, NULL, 0) > 0 || errno == EINTR)
			;
	}
	machine->pid = 0;
}

static void end_machine(struct machine *machine, const char *word, int number)
{
	end_group(machine);
	if (number >= 0)
		report(machine, "%s %d\n", word, number);
	else
		report(machine, "%s\n", word);
	close_one(&machine->console);
	close_one(&machine->control);
	machine->state = ENDED;
}

/* Returns how many directories could not be removed. The caller reads the end of the status when all is finished. */
static int forget(struct machine *machine)
{
	int failed = 0;

	end_group(machine);
	close_one(&machine->lifeline);
	close_one(&machine->console);
	close_one(&machine->control);
	if (machine->scratch)
		failed = remove_tree(machine->scratch) < 0;
	free(machine->scratch);
	free(machine->text);
	machine->scratch = machine->text = NULL;
	close_one(&machine->status);
	machine->state = UNUSED;
	return failed;
}

static void end_everything(void)
{
	int failed = 0;

	/* All are killed before the first one is waited for, so that they end at the same time. */
	for (int i = 0; i < MAX_MACHINES; i++)
		if (machines[i].state != UNUSED && machines[i].pid > 0)
			kill(-machines[i].pid, SIGKILL);
	for (int i = 0; i < MAX_MACHINES; i++)
		if (machines[i].state != UNUSED)
			failed += forget(&machines[i]);
	exit(failed > 0);
}

static struct machine *find_process(pid_t pid)
{
	for (int i = 0; i < MAX_MACHINES; i++)
		if (machines[i].state != UNUSED && machines[i].pid == pid)
			return &machines[i];
	return NULL;
}

static void reap(void)
{
	siginfo_t gone;
	int status;

	while (gone.si_pid = 0, waitid(P_ALL, 0, &gone, WEXITED | WNOHANG | WNOWAIT) == 0 && gone.si_pid > 0) {
		struct machine *machine = find_process(gone.si_pid);

		/* A fork whose report of its start has not been read yet. */
		for (int i = 1; i < MAX_MACHINES && !machine; i++)
			if (machines[i].state == FORKING && receive_report(&machines[i], MSG_DONTWAIT) && machines[i].pid == gone.si_pid)
				machine = &machines[i];
		waitpid(gone.si_pid, &status, 0);
		if (machine && machine->asked) /* it has ended because it was asked, or could not answer */
			end_machine(machine, "timeout", -1);
		else if (machine && WIFSIGNALED(status))
			end_machine(machine, "signal", WTERMSIG(status));
		else if (machine)
			end_machine(machine, "exit", WEXITSTATUS(status));
	}
}

/* --- Events ------------------------------------------------------------------------------- */

static void handle_control(struct machine *machine)
{
	if (receive_report(machine, 0))
		return;
	close_one(&machine->control);
	if (machine->state == FORKING) /* in other states, SIGCHLD reports the end */
		end_machine(machine, "error the machine could not be forked", -1);
}

static void handle_lifeline(struct machine *machine, char **environment, char **program)
{
	char byte;

	if (read(machine->lifeline, &byte, 1) != 1) {
		if (machine == &machines[0])
			end_everything();
		forget(machine);
	} else if (machine->state == WAITING && machine == &machines[0]) {
		start_program(machine, environment, program);
	} else if (machine->state == WAITING) {
		start_fork(machine);
	} else if (machine->state != ENDED) {
		end_machine(machine, "killed", -1);
	}
}

static long until_next_deadline(void)
{
	long next = -1, now = milliseconds();

	for (int i = 0; i < MAX_MACHINES; i++) {
		struct machine *machine = &machines[i];

		if (machine->state != RUNNING && machine->state != FORKING)
			continue;
		/* Twice, so that the caller sees what has changed; then there is a second to write a stack. */
		if (machine->deadline <= now && answers && machine->state == RUNNING && machine->asked < 2) {
			kill(machine->pid, SIGUSR2);
			machine->asked++;
			machine->deadline = now + 1000;
		}
		if (machine->deadline <= now)
			end_machine(machine, "timeout", -1);
		else if (next < 0 || machine->deadline - now < next)
			next = machine->deadline - now;
	}
	return next;
}

static void wait_for_events(int signals, char **environment, char **program)
{
	static struct pollfd sources[2 + 2 * MAX_MACHINES];
	static struct machine *owners[2 + 2 * MAX_MACHINES];
	struct signalfd_siginfo received;
	int count = 2, timeout = until_next_deadline();

	sources[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
	sources[1] = (struct pollfd){ .fd = forks_fd, .events = POLLIN };
	for (int i = 0; i < MAX_MACHINES; i++) {
		if (machines[i].state == UNUSED)
			continue;
		owners[count] = &machines[i];
		sources[count++] = (struct pollfd){ .fd = machines[i].lifeline, .events = POLLIN };
		if (machines[i].control < 0)
			continue;
		owners[count] = &machines[i];
		sources[count++] = (struct pollfd){ .fd = machines[i].control, .events = POLLIN };
	}
	poll(sources, count, timeout);
	for (int i = 2; i < count; i++) {
		/* The handler of one source may have closed the other source of the same machine. */
		if (!sources[i].revents)
			continue;
		if (sources[i].fd == owners[i]->control)
			handle_control(owners[i]);
		else if (sources[i].fd == owners[i]->lifeline)
			handle_lifeline(owners[i], environment, program);
	}
	while (read(signals, &received, sizeof(received)) == sizeof(received))
		if (received.ssi_signo != SIGCHLD)
			end_everything();
	reap();
	if (sources[1].revents)
		take_request();
}

int main(int argc, char **argv)
{
	char *environment[MAX_ENVIRONMENT + 1] = { 0 };
	char *program[MAX_ARGUMENTS + 2] = { 0 };
	int word = 6, variables = 0, signals;
	sigset_t watched;

	while (word < argc && strcmp(argv[word], "--") && variables < MAX_ENVIRONMENT)
		environment[variables++] = argv[word++];
	if (argc < 8 || word + 1 >= argc || strcmp(argv[word], "--") || argc - word - 1 > MAX_ARGUMENTS) {
		fprintf(stderr, "usage: supervisor STATUS SCRATCH WALL_SECONDS pinned|free FORKS [NAME=VALUE ...] -- "
				"PROGRAM [ARGUMENT ...]\n");
		return 2;
	}
	memcpy(program, argv + word + 1, (argc - word - 1) * sizeof(*program));
	machines[0] = (struct machine){
		.lifeline = LIFELINE, .status = atoi(argv[1]), .console = CONSOLE, .control = -1,
		.wall_limit = atol(argv[3]) * 1000L, .scratch = strdup(argv[2]),
	};
	fcntl(machines[0].status, F_SETFD, FD_CLOEXEC);
	if (strcmp(argv[5], "-")) {
		can_fork = true;
		forks_fd = atoi(argv[5]);
		fcntl(forks_fd, F_SETFD, FD_CLOEXEC);
	}

	/* Only the caller receives Ctrl-C from the terminal; it reacts by writing to the lifeline or closing it. */
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

	if (!strcmp(argv[4], "pinned")) {
		answers = true;
		pin_to_a_free_processor(); /* inherited by the program; this process holds the socket name */
		personality(ADDR_NO_RANDOMIZE);
	}
	make_scratch(&machines[0]);
	for (;;)
		wait_for_events(signals, variables ? environment : environ, program);
}

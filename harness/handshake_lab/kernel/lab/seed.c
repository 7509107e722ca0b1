/*
 * seed.c - the lab kernel's only source of randomness.
 *
 * User-Mode Linux fills its entropy pool with the C library's getrandom(). This
 * library is preloaded into the kernel's binary and answers instead, from the
 * number in HANDSHAKE_SEED: initial sequence numbers, ephemeral ports, netem's
 * losses and os.urandom() inside the guest are then a function of that number.
 *
 * It refuses to start without a seed, because such a run would not be repeatable.
 *
 * The generator is splitmix64 (Steele, Lea and Flood 2014, "Fast splittable
 * pseudorandom number generators"): every 64-bit seed is suitable, and the
 * kernel hashes the numbers with BLAKE2s. They are not secret.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static uint64_t state;
static uint64_t word;   /* the number that is being handed out */
static unsigned left;   /* how many of its bytes are still unused */

static void refuse(const char *why)
{
	static const char name[] = "seed shim: HANDSHAKE_SEED ";

	if (write(STDERR_FILENO, name, sizeof(name) - 1) < 0 || write(STDERR_FILENO, why, strlen(why)) < 0)
		_exit(126);
	_exit(125);
}

__attribute__((constructor)) static void take_the_seed(void)
{
	const char *text = getenv("HANDSHAKE_SEED");
	char *end;

	if (text == NULL)
		refuse("is not set\n");
	if (*text < '0' || *text > '9')	/* strtoull would take "-1" and " 1" */
		refuse("is not a whole number\n");
	errno = 0;
	state = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0')
		refuse("is not a whole number below 2^64\n");
}

static uint64_t splitmix64(void)
{
	uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* In bytes, so that two requests of 8 bytes return the same bytes as one request of 16. */
static void fill(unsigned char *buffer, size_t length)
{
	while (length-- > 0) {
		if (left == 0) {
			word = splitmix64();
			left = sizeof(word);
		}
		*buffer++ = (unsigned char)word;
		word >>= 8;
		left--;
	}
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	(void)flags;	/* this never blocks, and has only one source: GRND_NONBLOCK and GRND_RANDOM change nothing */
	fill(buffer, length);
	return (ssize_t)length;
}

int getentropy(void *buffer, size_t length)
{
	if (length > 256) {	/* as documented in getentropy(3) */
		errno = EIO;
		return -1;
	}
	fill(buffer, length);
	return 0;
}

/*
 * random_device.c - std::random_device draws from the lab kernel, not from the processor.
 *
 * The C++ library takes the numbers of std::random_device from RDSEED or RDRAND where the processor has them: no kernel
 * can see that, and a run would not be a function of its seed. This library is preloaded into the programs of a run
 * and has the C++ library open /dev/urandom instead, as it does on processors that lack them.
 *
 * The constructor of std::random_device calls random_device::_M_init(const std::string &) with the name of a source
 * (libstdc++, src/c++11/random.cc), which can be replaced because it is a function of the shared library. A
 * program that asks for a source of another name gets it. This library needs no other, so that it can be loaded into any
 * program, and does nothing in one without C++.
 */
#include <stddef.h>

/* std::string of the ABI of C++11: the characters are inside if they are few. */
struct string {
	const char *characters;
	size_t length;
	char inside[16];
};

#define INIT _ZNSt13random_device7_M_initERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE
#define NAME_OF(symbol) #symbol
#define NAME(symbol) NAME_OF(symbol)
#define NEXT ((void *)-1L) /* RTLD_NEXT */

extern void *dlsym(void *handle, const char *name) __attribute__((weak));

static int same(const struct string *given, const char *name)
{
	size_t i = 0;

	while (i < given->length && name[i] == given->characters[i])
		i++;
	return i == given->length && !name[i];
}

void INIT(void *device, const struct string *source)
{
	static struct string urandom = { .length = 12, .inside = "/dev/urandom" };
	void (*init)(void *, const struct string *) = dlsym ? dlsym(NEXT, NAME(INIT)) : NULL;

	if (!init)
		__builtin_trap(); /* nothing but the C++ library calls this */
	urandom.characters = urandom.inside;
	if (same(source, "default") || same(source, "hw") || same(source, "hardware") || same(source, "rdseed") ||
	    same(source, "rdrand") || same(source, "rdrnd"))
		source = &urandom;
	init(device, source);
}

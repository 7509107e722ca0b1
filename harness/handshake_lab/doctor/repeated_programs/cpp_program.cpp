// What C++ sees: std::random_device, the addresses of objects, the time-stamp counter.
#include <arpa/inet.h>
#include <chrono>
#include <iostream>
#include <memory>
#include <netdb.h>
#include <random>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

int main()
{
	std::random_device device;
	unsigned number = device();
	auto object = std::make_unique<int>();
	unsigned low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	std::cout << number << ' ' << object.get() << ' ' << &device << ' ' << low << ' ' << high << ' '
		  << std::chrono::steady_clock::now().time_since_epoch().count() << '\n';

	addrinfo *found;
	if (getaddrinfo("h2", "80", nullptr, &found) != 0)
		return 1;
	int connection = socket(found->ai_family, SOCK_STREAM, 0);
	if (connect(connection, found->ai_addr, found->ai_addrlen) != 0)
		return 1;
	std::string sent(100 + number % 1000, 'x');
	if (write(connection, sent.data(), sent.size()) < 0)
		return 1;
	return close(connection);
}

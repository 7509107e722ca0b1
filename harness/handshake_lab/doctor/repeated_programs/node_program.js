// What JavaScript sees: random numbers, its clocks, the order of its timers.
const crypto = require("crypto");
const net = require("net");

const number = crypto.randomInt(1000);
const order = [];
for (let i = 0; i < 5; i++) setTimeout(() => order.push(i), Math.floor(Math.random() * 5));
setTimeout(() => {
	console.log(number, Math.random(), Date.now(), performance.now(), order.join(""));
	const connection = net.connect(80, "h2", () => connection.end(Buffer.alloc(100 + number)));
}, 20);

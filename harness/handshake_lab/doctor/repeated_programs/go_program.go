// What Go sees: its scheduler's choices, the iteration order of maps, its clocks.
package main

import (
	"fmt"
	"math/rand"
	"net"
	"time"
)

func main() {
	numbers := map[int]int{}
	for i := 0; i < 16; i++ {
		numbers[i] = i
	}
	text := ""
	for key := range numbers {
		text += fmt.Sprint(key, " ")
	}
	one, other := make(chan int, 9), make(chan int, 9)
	for i := 0; i < 9; i++ {
		one <- i
		other <- i
	}
	for i := 0; i < 9; i++ {
		select {
		case <-one:
			text += "a"
		case <-other:
			text += "b"
		}
	}
	text += fmt.Sprint(" ", rand.Int63(), " ", time.Now().UnixNano())
	fmt.Println(text)
	connection, err := net.Dial("tcp", "h2:80")
	if err != nil {
		panic(err)
	}
	connection.Write(make([]byte, 100+rand.Intn(1000)))
	connection.Close()
}

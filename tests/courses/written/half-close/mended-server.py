import socket

listener = socket.create_server(("", 7))
kept = []
while True:
    connection, _ = listener.accept()
    while data := connection.recv(100):
        connection.sendall(data)
    connection.close()

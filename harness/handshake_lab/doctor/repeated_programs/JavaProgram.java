// What Java sees: random numbers, identity hash codes, its clocks, its host.
import java.net.InetAddress;
import java.net.Socket;
import java.security.SecureRandom;
import java.util.Random;

public class JavaProgram {
	public static void main(String[] arguments) throws Exception {
		int number = new SecureRandom().nextInt(1000);
		System.out.println(number + " " + new Random().nextInt() + " " + new Object().hashCode() + " "
				+ System.nanoTime() + " " + InetAddress.getLocalHost());
		try (Socket connection = new Socket("h2", 80)) {
			connection.getOutputStream().write(new byte[100 + number]);
		}
	}
}

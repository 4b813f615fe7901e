import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/**
 * Logs out of the ECGrid API in the way of its documentation and goes on with the same
 * credential. Prints a line per call: status, X-Session-ID and body, separated by tabs.
 *
 * <p>Takes ECGRID_URL and either ECGRID_TOKEN or ECGRID_API_KEY from the environment.
 */
public class LogoutClient {
    private static final String BODY =
            "{ \"success\": true, \"data\": null, \"errorCode\": \"\", \"message\": \"Session terminated.\" }";

    // As it comes: without TLS it offers h2c.
    private final HttpClient client = HttpClient.newHttpClient();
    private final String base = System.getenv("ECGRID_URL");
    private final String token = System.getenv("ECGRID_TOKEN");
    private final String key = System.getenv("ECGRID_API_KEY");

    public static void main(String[] args) throws IOException, InterruptedException {
        new LogoutClient().run();
    }

    private void run() throws IOException, InterruptedException {
        if (token != null) {
            logout(null);
            mailboxes(null);
            return;
        }
        String session = mailboxes(null);
        mailboxes(session);
        logout(session);
        mailboxes(session);
        mailboxes(null);
        logout(null);
        mailboxes(null);
    }

    private void logout(String session) throws IOException, InterruptedException {
        send(request("/v2/auth/logout", session)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(BODY))
                .build());
    }

    private String mailboxes(String session) throws IOException, InterruptedException {
        return send(request("/v2/mailboxes", session).build());
    }

    private HttpRequest.Builder request(String path, String session) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create(base + path));
        if (token != null) {
            builder.header("Authorization", "Bearer " + token);
        } else {
            builder.header("X-API-Key", key);
        }
        if (session != null) {
            builder.header("X-Session-ID", session);
        }
        return builder;
    }

    /** Returns the session that the answer names, or null. */
    private String send(HttpRequest request) throws IOException, InterruptedException {
        HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
        String session = response.headers().firstValue("X-Session-ID").orElse(null);
        System.out.println(response.statusCode() + "\t" + (session == null ? "" : session) + "\t" + response.body());
        return session;
    }
}

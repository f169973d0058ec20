// For each line "HOST PORT USER PASSWORD DATABASE AUTHORITY CERTIFICATE KEY" (with tabs) of stdin: logs
// in by pgjdbc, by TLS if there is an authority, asks, and prints "ok PORT WORD LINK" or
// "error CODE TEXT". KEY is the file beside which NAME.pk8 is the same key as DER.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class PgJdbc {
  static final String QUESTION =
      "SELECT concat_ws(' ', current_setting('port'), (SELECT text FROM word WHERE id = ?),"
      + " (SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl"
      + " WHERE pid = pg_backend_pid()))";

  static String logIn(String[] field) throws SQLException {
    Properties settings = new Properties();
    settings.setProperty("user", field[2]);
    settings.setProperty("password", field[3]);
    settings.setProperty("loginTimeout", "10");
    settings.setProperty("sslmode", field[5].isEmpty() ? "disable" : "verify-full");
    if (!field[5].isEmpty()) settings.setProperty("sslrootcert", field[5]);
    if (!field[6].isEmpty()) {
      settings.setProperty("sslcert", field[6]);
      settings.setProperty("sslkey", field[7] + ".pk8");
    }
    String address = "jdbc:postgresql://" + field[0] + ":" + field[1] + "/" + field[4];
    try (Connection db = DriverManager.getConnection(address, settings);
         PreparedStatement statement = db.prepareStatement(QUESTION)) {
      statement.setInt(1, 2);
      try (ResultSet rows = statement.executeQuery()) {
        rows.next();
        return "ok " + rows.getString(1);
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String said;
      try {
        said = logIn(line.split("\t", -1));
      } catch (SQLException e) {
        said = "error " + e.getSQLState() + " " + e.getMessage();
      }
      System.out.println(said.replace('\n', ' '));
    }
  }
}

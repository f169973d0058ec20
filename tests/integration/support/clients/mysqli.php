<?php
// For each line "HOST PORT USER PASSWORD DATABASE AUTHORITY" (with tabs) of stdin: logs in, by TLS if
// there is an authority, runs the query, and prints "ok PORT WORD" or "error CODE TEXT".
mysqli_report(MYSQLI_REPORT_OFF);
while (($line = fgets(STDIN)) !== false) {
    [$host, $port, $user, $password, $database, $authority] = explode("\t", rtrim($line, "\n"));
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 10);
    $flags = 0;
    if ($authority !== '') {
        $db->ssl_set(null, null, $authority, null, null);
        $db->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
        $flags = MYSQLI_CLIENT_SSL;
    }
    if (!@$db->real_connect($host, $user, $password, $database, (int)$port, null, $flags)) {
        echo "error {$db->connect_errno} {$db->connect_error}\n";
        continue;
    }
    $port = $db->query('SELECT @@port')->fetch_row()[0];
    $statement = $db->prepare('SELECT text FROM word WHERE id = ?');
    $id = 2;
    $statement->bind_param('i', $id);
    $statement->execute();
    $word = $statement->get_result()->fetch_row()[0];
    echo "ok $port $word\n";
    $db->close();
}

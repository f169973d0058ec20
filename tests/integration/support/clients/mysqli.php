<?php
// mysqli.php HOST PORT USER PASSWORD DATABASE: logs in, asks, and prints "ok PORT WORD" or "error CODE TEXT".
mysqli_report(MYSQLI_REPORT_OFF);
[, $host, $port, $user, $password, $database] = $argv;
$db = mysqli_init();
$db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 10);
if (!@$db->real_connect($host, $user, $password, $database, (int)$port)) {
    echo "error {$db->connect_errno} {$db->connect_error}\n";
    exit(0);
}
$port = $db->query('SELECT @@port')->fetch_row()[0];
$statement = $db->prepare('SELECT text FROM word WHERE id = ?');
$id = 2;
$statement->bind_param('i', $id);
$statement->execute();
$word = $statement->get_result()->fetch_row()[0];
echo "ok $port $word\n";
$db->close();

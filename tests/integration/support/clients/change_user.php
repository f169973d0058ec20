<?php
// HOST PORT USER PASSWORD DATABASE OTHER_USER OTHER_PASSWORD [CA]: opens a persistent connection twice,
// which mysqlnd resets by COM_CHANGE_USER, then changes to the other user. Prints "again USER" and
// "changed USER", or "error CODE TEXT". Uses TLS if there is a CA.
mysqli_report(MYSQLI_REPORT_OFF);
[, $host, $port, $user, $password, $database, $other, $other_password] = $argv;
$ca = $argv[8] ?? '';

function connect() {
    global $host, $port, $user, $password, $database, $ca;
    $db = mysqli_init();
    if ($ca !== '') $db->ssl_set(null, null, $ca, null, null);
    $flags = $ca !== '' ? MYSQLI_CLIENT_SSL : 0;
    if (!@$db->real_connect("p:$host", $user, $password, $database, (int)$port, null, $flags)) {
        exit("error " . mysqli_connect_errno() . " " . mysqli_connect_error() . "\n");
    }
    return $db;
}

function who($db) {
    $result = $db->query("SELECT SUBSTRING_INDEX(USER(), '@', 1), CONNECTION_ID()");
    if (!$result) exit("error $db->errno $db->error\n");
    return $result->fetch_row();
}

$db = connect();
[, $first] = who($db);
$db->close();
$db = connect();
[$name, $second] = who($db);
echo "again $name ", $first === $second ? "same" : "another", "\n";
if (!$db->change_user($other, $other_password, $database)) exit("error $db->errno $db->error\n");
echo "changed ", who($db)[0], "\n";
$db->close();

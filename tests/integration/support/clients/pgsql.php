<?php
// For each line "HOST PORT USER PASSWORD DATABASE AUTHORITY CERTIFICATE KEY" (with tabs) of stdin: logs
// in, by TLS if there is an authority, asks, and prints "ok PORT WORD LINK" or "error 0 TEXT".
$question = "SELECT concat_ws(' ', current_setting('port'),
    (SELECT text FROM word WHERE id = $1),
    (SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl
     WHERE pid = pg_backend_pid()))";
while (($line = fgets(STDIN)) !== false) {
    [$host, $port, $user, $password, $database, $authority, $certificate, $key] =
        explode("\t", rtrim($line, "\n"));
    $settings = ['host' => $host, 'port' => $port, 'user' => $user, 'password' => $password,
                 'dbname' => $database, 'connect_timeout' => 10,
                 'sslmode' => $authority === '' ? 'disable' : 'verify-full'];
    if ($authority !== '') $settings['sslrootcert'] = $authority;
    if ($certificate !== '') $settings += ['sslcert' => $certificate, 'sslkey' => $key];
    $words = '';
    foreach ($settings as $name => $value) $words .= " $name='$value'";
    $said = '';
    set_error_handler(function ($number, $text) use (&$said) { $said = $text; return true; });
    $db = pg_connect($words, PGSQL_CONNECT_FORCE_NEW);
    restore_error_handler();
    if ($db === false) {
        echo 'error 0 ', strtr($said, "\n", ' '), "\n";
        continue;
    }
    echo 'ok ', pg_fetch_result(pg_query_params($db, $question, [2]), 0, 0), "\n";
    pg_close($db);
}

// pg.js CLIENT, of pg, pg-binding (pg that binds to the server's certificate) and postgres: for each
// line "HOST PORT USER PASSWORD DATABASE AUTHORITY CERTIFICATE KEY" (with tabs) of stdin it logs in, by
// TLS if there is an authority, asks, and prints "ok PORT WORD LINK" or "error CODE TEXT".
const fs = require('fs');
const client = process.argv[2];
const question = `SELECT concat_ws(' ', current_setting('port'),
    (SELECT text FROM word WHERE id = $1),
    (SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl
     WHERE pid = pg_backend_pid())) AS answer`;

async function withPg(settings) {
  const {Client} = require('pg');
  const db = new Client({...settings, connectionTimeoutMillis: 10000,
                         enableChannelBinding: client === 'pg-binding'});
  db.on('error', () => {});
  try {
    await db.connect();
    return (await db.query(question, [2])).rows[0].answer;
  } finally {
    db.end().catch(() => {});
  }
}

async function withPostgres(settings) {
  const db = require('postgres')({...settings, connect_timeout: 10, max: 1});
  try {
    return (await db.unsafe(question, [2]))[0].answer;
  } finally {
    db.end({timeout: 1}).catch(() => {});
  }
}

async function logIn(line) {
  const [host, port, user, password, database, authority, certificate, key] = line.split('\t');
  const settings = {host, port: Number(port), user, password, database, ssl: false};
  if (authority) settings.ssl = {ca: fs.readFileSync(authority)};
  if (authority && certificate) {
    Object.assign(settings.ssl, {cert: fs.readFileSync(certificate), key: fs.readFileSync(key)});
  }
  return 'ok ' + await (client === 'postgres' ? withPostgres : withPg)(settings);
}

async function main() {
  for (const line of fs.readFileSync(0, 'utf8').split('\n').filter((l) => l)) {
    console.log(await logIn(line).catch(
        (e) => `error ${e.code || 0} ${e.message}`.replace(/\n/g, ' ')));
  }
}

main();

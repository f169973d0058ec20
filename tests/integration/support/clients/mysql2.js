// For each line "HOST PORT USER PASSWORD DATABASE AUTHORITY" (with tabs) of stdin: logs in, by TLS if
// there is an authority, runs the query, and prints "ok PORT WORD" or "error CODE TEXT".
const fs = require('fs');
const mysql = require('mysql2/promise');

async function logIn(line) {
  const [host, port, user, password, database, authority] = line.split('\t');
  const settings = {host, port: Number(port), user, password, database, connectTimeout: 10000,
                    enableCleartextPlugin: true};
  if (authority) settings.ssl = {ca: fs.readFileSync(authority)};
  const db = await mysql.createConnection(settings);
  db.connection.on('error', () => {});  // also for an error after a failed statement
  try {
    const [ports] = await db.query('SELECT @@port AS port');
    const [words] = await db.execute('SELECT text FROM word WHERE id = ?', [2]);
    return `ok ${ports[0].port} ${words[0].text}`;
  } finally {
    db.end().catch(() => {});
  }
}

async function main() {
  for (const line of fs.readFileSync(0, 'utf8').split('\n').filter((l) => l)) {
    console.log(await logIn(line).catch(
        (e) => `error ${e.errno || 0} ${e.code} ${e.message}`.replace(/\n/g, ' ')));
  }
}

main();

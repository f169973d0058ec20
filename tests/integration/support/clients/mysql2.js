// mysql2.js HOST PORT USER PASSWORD DATABASE: logs in, asks, and prints "ok PORT WORD" or "error CODE TEXT".
const mysql = require('mysql2');
const [host, port, user, password, database] = process.argv.slice(2);
const db = mysql.createConnection({host, port: Number(port), user, password, database, connectTimeout: 10000});
const fail = (e) => {
  console.log(`error ${e.errno} ${e.message}`);
  process.exit(0);
};
db.on('error', fail);
db.connect((e) => {
  if (e) return fail(e);
  db.query('SELECT @@port AS port', (e, rows) => {
    if (e) return fail(e);
    const where = rows[0].port;
    db.execute('SELECT text FROM word WHERE id = ?', [2], (e, rows) => {
      if (e) return fail(e);
      console.log(`ok ${where} ${rows[0].text}`);
      db.end();
    });
  });
});

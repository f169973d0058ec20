// HOST PORT USER PASSWORD DATABASE OTHER_USER OTHER_PASSWORD: logs in with mysql2, changes to the other
// user and back, three times, and prints "changed USER" each time, or "error CODE TEXT".
const mysql = require("mysql2/promise");

const [host, port, user, password, database, other, otherPassword] = process.argv.slice(2);

async function main() {
  const db = await mysql.createConnection({ host, port: Number(port), user, password, database });
  try {
    for (let i = 0; i < 3; ++i) {
      const next = i % 2 ? { user, password } : { user: other, password: otherPassword };
      await db.changeUser({ ...next, database });
      const [rows] = await db.query("SELECT SUBSTRING_INDEX(USER(), '@', 1) AS name");
      console.log("changed " + rows[0].name);
    }
    await db.end();
  } catch (e) {
    console.log("error " + e.errno + " " + e.message);
    db.destroy();
  }
}

main().catch((e) => console.log("error " + e.errno + " " + e.message));

/* For each line "HOST PORT USER PASSWORD DATABASE AUTHORITY" (with tabs) of stdin: logs in, by TLS
 * if there is an authority, runs the query, and prints "ok PORT WORD" or "error CODE TEXT". With
 * the arguments OTHER_USER OTHER_PASSWORD it then changes to that user (COM_CHANGE_USER), queries
 * it, and prints "changed USER". With the argument --mariadb it uses features of MariaDB only, and
 * prints "bulk ROWS, format FORMAT, again SUM": rows inserted by one bulk execution, the format of
 * a JSON column by its extended metadata, and a statement executed repeatedly. */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int Fail(MYSQL* db) {
  printf("error %u %s\n", mysql_errno(db), mysql_error(db));
  mysql_close(db);
  return 0;
}

/* The first column of the first row, into `text`; 0: an error. */
static int Ask(MYSQL* db, const char* query, char* text, size_t size) {
  if (mysql_query(db, query) != 0) return 0;
  MYSQL_RES* result = mysql_store_result(db);
  MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
  snprintf(text, size, "%s", row != NULL && row[0] != NULL ? row[0] : "");
  mysql_free_result(result);
  return 1;
}

/* The same by a prepared statement with one parameter. */
static int AskPrepared(MYSQL* db, int id, char* text, size_t size) {
  static const char query[] = "SELECT text FROM word WHERE id = ?";
  MYSQL_STMT* statement = mysql_stmt_init(db);
  MYSQL_BIND in, out;
  memset(&in, 0, sizeof in);
  memset(&out, 0, sizeof out);
  in.buffer_type = MYSQL_TYPE_LONG;
  in.buffer = &id;
  unsigned long length = 0;
  out.buffer_type = MYSQL_TYPE_STRING;
  out.buffer = text;
  out.buffer_length = size - 1;
  out.length = &length;
  int ok = mysql_stmt_prepare(statement, query, sizeof query - 1) == 0 &&
           mysql_stmt_bind_param(statement, &in) == 0 && mysql_stmt_execute(statement) == 0 &&
           mysql_stmt_bind_result(statement, &out) == 0 && mysql_stmt_fetch(statement) == 0;
  if (ok) text[length] = '\0';
  mysql_stmt_close(statement);
  return ok;
}

enum { kRows = 100 };

/* One COM_STMT_BULK_EXECUTE, without which libmariadb gives up with error 5003. */
static int InsertAll(MYSQL* db) {
  static const char query[] = "INSERT INTO bulk VALUES (?, '{}')";
  int numbers[kRows];
  for (int i = 0; i < kRows; i++) numbers[i] = i;
  unsigned rows = kRows;
  MYSQL_BIND in;
  memset(&in, 0, sizeof in);
  in.buffer_type = MYSQL_TYPE_LONG;
  in.buffer = numbers;
  MYSQL_STMT* statement = mysql_stmt_init(db);
  int ok = mysql_stmt_prepare(statement, query, sizeof query - 1) == 0 &&
           mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows) == 0 &&
           mysql_stmt_bind_param(statement, &in) == 0 && mysql_stmt_execute(statement) == 0;
  if (!ok) printf("error %u %s\n", mysql_stmt_errno(statement), mysql_stmt_error(statement));
  mysql_stmt_close(statement);
  return ok;
}

/* For repeated executions, the server may omit the description of the columns. */
static int SumAgain(MYSQL* db) {
  static const char query[] = "SELECT id FROM bulk WHERE id < ?";
  int below = 0, id = 0, sum = 0;
  MYSQL_BIND in, out;
  memset(&in, 0, sizeof in);
  memset(&out, 0, sizeof out);
  in.buffer_type = out.buffer_type = MYSQL_TYPE_LONG;
  in.buffer = &below;
  out.buffer = &id;
  MYSQL_STMT* statement = mysql_stmt_init(db);
  if (mysql_stmt_prepare(statement, query, sizeof query - 1) != 0) return -1;
  for (below = 1; below <= 5; below++) {
    if (mysql_stmt_bind_param(statement, &in) != 0 || mysql_stmt_execute(statement) != 0 ||
        mysql_stmt_bind_result(statement, &out) != 0) {
      return -1;
    }
    while (mysql_stmt_fetch(statement) == 0) sum += id;
    mysql_stmt_free_result(statement);
  }
  mysql_stmt_close(statement);
  return sum;
}

static int UseMariaDb(MYSQL* db) {
  char count[64];
  if (mysql_query(db, "CREATE TEMPORARY TABLE bulk (id INT, doc JSON)") != 0) return Fail(db);
  if (!InsertAll(db)) return 0;
  if (!Ask(db, "SELECT COUNT(*) FROM bulk", count, sizeof count)) return Fail(db);
  if (mysql_query(db, "SELECT doc FROM bulk LIMIT 1") != 0) return Fail(db);
  MYSQL_RES* result = mysql_store_result(db);
  MARIADB_CONST_STRING format = {"", 0};
  mariadb_field_attr(&format, mysql_fetch_field_direct(result, 0), MARIADB_FIELD_ATTR_FORMAT_NAME);
  printf("bulk %s, format %.*s", count, (int)format.length, format.str);
  mysql_free_result(result);
  printf(", again %d\n", SumAgain(db));
  return 1;
}

static int LogIn(char* line, const char* other, const char* other_password) {
  enum { kHost, kPort, kUser, kPassword, kDatabase, kAuthority, kFields };
  char* field[kFields];
  for (int i = 0; i < kFields; i++) {
    field[i] = line != NULL ? strsep(&line, "\t") : "";
  }
  MYSQL* db = mysql_init(NULL);
  unsigned seconds = 10;
  mysql_options(db, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
  if (field[kAuthority][0] != '\0') {
    my_bool on = 1;
    mysql_options(db, MYSQL_OPT_SSL_ENFORCE, &on);
    mysql_options(db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
    mysql_options(db, MYSQL_OPT_SSL_CA, field[kAuthority]);
  }
  if (mysql_real_connect(db, field[kHost], field[kUser], field[kPassword], field[kDatabase],
                         (unsigned)atoi(field[kPort]), NULL, 0) == NULL) {
    return Fail(db);
  }
  char port[64], word[256], user[256];
  if (!Ask(db, "SELECT @@port", port, sizeof port)) return Fail(db);
  if (!AskPrepared(db, 2, word, sizeof word)) return Fail(db);
  printf("ok %s %s\n", port, word);
  if (other != NULL && strcmp(other, "--mariadb") == 0) {
    UseMariaDb(db);
  } else if (other != NULL) {
    if (mysql_change_user(db, other, other_password, field[kDatabase]) != 0) return Fail(db);
    if (!Ask(db, "SELECT SUBSTRING_INDEX(USER(), '@', 1)", user, sizeof user)) return Fail(db);
    printf("changed %s\n", user);
  }
  mysql_close(db);
  return 0;
}

int main(int argc, char** argv) {
  char line[4096];
  setlinebuf(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    LogIn(line, argc >= 2 ? argv[1] : NULL, argc >= 3 ? argv[2] : NULL);
  }
  return 0;
}

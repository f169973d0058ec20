// pg_go CLIENT, of pgx and pq: for each line "HOST PORT USER PASSWORD DATABASE AUTHORITY CERTIFICATE KEY"
// (with tabs) of stdin it logs in, by TLS if there is an authority, asks, and prints
// "ok PORT WORD LINK" or "error 0 TEXT".
package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"

	_ "github.com/jackc/pgx/v4/stdlib"
	_ "github.com/lib/pq"
)

const question = `SELECT concat_ws(' ', current_setting('port'),
	(SELECT text FROM word WHERE id = $1),
	(SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl
	 WHERE pid = pg_backend_pid()))`

func logIn(driver string, field []string) (string, error) {
	settings := url.Values{"connect_timeout": {"10"}, "sslmode": {"disable"}}
	if field[5] != "" {
		settings.Set("sslmode", "verify-full")
		settings.Set("sslrootcert", field[5])
	}
	if field[6] != "" {
		settings.Set("sslcert", field[6])
		settings.Set("sslkey", field[7])
	}
	address := url.URL{Scheme: "postgres", User: url.UserPassword(field[2], field[3]),
		Host: field[0] + ":" + field[1], Path: "/" + field[4], RawQuery: settings.Encode()}
	db, err := sql.Open(driver, address.String())
	if err != nil {
		return "", err
	}
	defer db.Close()
	var answer string
	err = db.QueryRow(question, 2).Scan(&answer)
	return answer, err
}

func main() {
	driver := map[string]string{"pgx": "pgx", "pq": "postgres"}[os.Args[1]]
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := logIn(driver, strings.Split(lines.Text(), "\t"))
		if err != nil {
			fmt.Println("error 0", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", answer)
		}
	}
}

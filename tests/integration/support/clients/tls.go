// HTTPS to 127.0.0.1 under a name: tls.go PORT NAME AUTHORITY. Prints the answer.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	port, name := os.Args[1], os.Args[2]
	authority, err := os.ReadFile(os.Args[3])
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{ServerName: name, RootCAs: roots})
	check(err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", name)
	check(err)
	_, err = io.Copy(os.Stdout, conn)
	check(err)
}

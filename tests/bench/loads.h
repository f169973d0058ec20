// The loads, one function each: what a proxy does all day, one thing at a time.
#pragma once

#include "bench/loop.h"
#include "bench/meter.h"
#include "bench/options.h"

namespace rum::bench {

// A number of connections, each sends a message and waits for its echo, again and again.
int RunRoundtrip(const Options& options);
// Streams as fast as they go, counted where they arrive.
int RunBulk(const Options& options);
// Connect, one message and its echo, close. With --names each visit is for another server name, and
// with --server-cert the handshake is with the backend.
int RunConnect(const Options& options);
// Many connections that have said one message each and then nothing: memory of the proxy.
int RunIdle(const Options& options);
// MySQL: connect, log in by mysql_native_password, SELECT 1, quit. The backend, if served here, is
// a stand-in that checks the password; without --backend it is a real server.
int RunMysqlLogin(const Options& options);
// Only the backend of one of them (WHAT-server), until it is killed or the time-out is over.
int RunServer(const Options& options);

// Serve a backend on the loop.
// With TLS if there is a certificate.
void ServeEcho(Loop& loop, const sockaddr_in& address, const std::string& certificate = {});
void ServeSource(Loop& loop, const sockaddr_in& address);                // sends without end
void ServeSink(Loop& loop, const sockaddr_in& address, Window* window);  // counts what comes
void ServeMysql(Loop& loop, const sockaddr_in& address, const Options& options);

// Prints the window's figures; ends with 1 if operations failed.
int Finish(const Options& options, Window& window);

}  // namespace rum::bench

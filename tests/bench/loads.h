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
// Connect, one message and its echo, close.
int RunConnect(const Options& options);
// Many connections that have said one message each and then nothing: memory of the proxy.
int RunIdle(const Options& options);
// MySQL: connect, log in by mysql_native_password, SELECT 1, quit. The backend, if served here, is
// a stand-in that checks the password; without --backend it is a real server.
int RunMysqlLogin(const Options& options);
// Only the backend of one of them (WHAT-server), until it is killed or the time-out is over.
int RunServer(const Options& options);

// Serve a backend on the loop.
void ServeEcho(Loop& loop, const sockaddr_in& address);
void ServeSource(Loop& loop, const sockaddr_in& address);                // sends without end
void ServeSink(Loop& loop, const sockaddr_in& address, Window* window);  // counts what comes
void ServeMysql(Loop& loop, const sockaddr_in& address, const Options& options);

// Prints the window's figures; ends with 1 if operations failed.
int Finish(const Options& options, Window& window);

}  // namespace rum::bench

// A dialogue as one function: a layer of C++20 coroutines over rum/module.h. A login reads from top
// to bottom. Headers only; for g++ 12 and clang 14; needs neither exceptions nor RTTI.
//
//   using namespace rum::dialogue;
//
//   Script Login(Dialogue& d) {
//     d.client.Send("who are you?\r\n");
//     View line = co_await d.client.Line(512);
//     if (!line) co_return;                          // ends the session with line.reason()
//     std::string user(line.text());
//     d.Identify(user);
//     Record record = co_await d.Lookup(user);
//     if (record.status() != Record::kFound) co_return d.Close(RUM_CLOSE_DENIED);
//     std::string server(record.value());
//     Reason failed = co_await d.Connect(server);
//     if (failed) co_return d.Close(failed);
//     d.Relay();
//   }
//
//   RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = [] {
//     rum_module table = Hooks<Login>::Table();      // or name the hooks one by one
//     table.name = "mine"; ...
//     return table;
//   }();
//
// RULES
//  1. A script runs on the worker of its session, inside a hook, until it waits for something.
//  2. Every wait ends: if the session ends, the wait returns the end reason (RUM_CLOSE_..., see
//     rum/module.h), and each further wait returns it at once. The script may send last words and
//     should then return. A script that continues to wait is destroyed.
//  3. A script that returns without Relay() or Close() ends the session with the reason of the last
//     wait that failed, or RUM_CLOSE_MODULE if none has. After RelayFrom() it begins the relay of
//     the other direction, too, instead.
//  4. A View or Record is valid until the next co_await. It can be neither copied nor moved; copy
//     the bytes.
//  5. The frame of the script is destroyed once, after it has returned or the session has ended.
//     Destructors run. The frame never outlives the session.
//  6. An exception that leaves a script ends the session with RUM_CLOSE_MODULE, and nothing else.
//  7. All calls are [worker], from the script or a function that it calls, unless a comment says
//     otherwise.
//
// g++ 12 miscompiles some temporaries in a co_await expression: give an aggregate in braces, and
// what has a destructor, a name first, and put no co_await into a conditional operator. Give a bool
// that is awaited a name, too, before it is a whole condition: after an earlier branch with a
// co_await, `if (co_await x)` makes a frame that crashes; `if (!co_await x)` does not. A script whose
// waits are all `if (!co_await x)`, without a variable of its own, never runs: name the first result.
//
// session.hpp has what a script can do, hooks.hpp has the table.
#pragma once

#include <rum/dialogue/hooks.hpp>    // IWYU pragma: export
#include <rum/dialogue/session.hpp>  // IWYU pragma: export

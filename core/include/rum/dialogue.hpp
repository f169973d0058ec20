// A dialogue as one function: a C++20 coroutine layer over rum/module.h, so that a login reads from
// top to bottom. Header only; g++ 12 and clang 14; works without exceptions and without RTTI.
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
//  2. Every wait has an end: what ends the session ends the wait, which then gives a reason
//     (RUM_CLOSE_..., see rum/module.h). From then on each further wait gives the same reason at
//     once. Last words may be sent; then the script should return. One that waits on regardless is
//     destroyed.
//  3. A script that returns without Relay() or Close() ends the session with the reason of the last
//     wait that failed, or RUM_CLOSE_MODULE if none has; while one way is handed over (RelayFrom())
//     it hands over the other way, too.
//  4. What a wait gives a view of (View, Record) is good until the next co_await. The types can
//     neither be copied nor moved; copy the bytes.
//  5. The frame of the script is destroyed once, when it has returned or the session has ended;
//     destructors run. It never outlives the session.
//  6. An exception that leaves a script ends the session with RUM_CLOSE_MODULE, and nothing else.
//  7. All calls are [worker], from the script or from what it calls, unless a line says otherwise.
//
// g++ 12 miscompiles some temporaries in a co_await expression: give an aggregate in braces, and
// what has a destructor, a name first, and put no co_await into a conditional operator. Give a bool
// that is awaited a name, too, before it is a whole condition: after an earlier branch with a
// co_await, `if (co_await x)` makes a frame that crashes; `if (!co_await x)` does not.
//
// Read on in session.hpp for what a script can do, and in hooks.hpp for the table.
#pragma once

#include <rum/dialogue/hooks.hpp>    // IWYU pragma: export
#include <rum/dialogue/session.hpp>  // IWYU pragma: export

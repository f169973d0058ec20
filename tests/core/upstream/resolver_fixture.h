// A resolver on a main loop of its own, which asks servers of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "support/folder.h"
#include "support/name_server.h"
#include "support/running_proxy.h"
#include "support/timeout.h"
#include "upstream/resolver.h"

namespace rum::test {

using Texts = std::vector<std::string>;

class ResolverTest : public testing::Test {
 protected:
  ~ResolverTest() override { loop_.reset(); }

  // `decide` runs on the server's thread, which outlives the locals of a test: captures by value.
  void Start(NameServer::Decide decide, Millis refresh = Millis(30000), Millis timeout = kTimeout) {
    server_ = std::make_unique<NameServer>(std::move(decide));
    StartWith(server_->conf(), refresh, timeout);
  }
  void StartWith(const std::string& conf, Millis refresh = Millis(30000),
                 Millis timeout = kTimeout) {
    std::ofstream(folder_ / "resolv.conf") << conf;
    loop_ = std::make_unique<MainLoop>(
        [this, refresh, timeout](event_base* base) {
          resolver_ =
              std::make_unique<Resolver>(base, refresh, timeout, folder_ / "resolv.conf", hosts_);
        },
        [this] { resolver_.reset(); });
    loop_->Run([] {});
  }
  // The addresses as text, in their order.
  std::vector<std::string> Ask(const std::string& name) {
    auto told = std::make_shared<std::promise<std::vector<std::string>>>();
    auto answer = told->get_future();
    resolver_->Ask(name, [told](std::vector<SocketAddress> found) {
      std::vector<std::string> texts;
      for (const SocketAddress& address : found) texts.push_back(address.host());
      told->set_value(texts);
    });
    if (answer.wait_for(kTimeout) != std::future_status::ready) {
      ADD_FAILURE() << "no answer for " << name;
      return {};
    }
    return answer.get();
  }
  std::vector<std::string> Known(const std::string& name) {
    std::vector<std::string> texts;
    for (const SocketAddress& address :
         resolver_->Known(name).value_or(std::vector<SocketAddress>{})) {
      texts.push_back(address.host());
    }
    return texts;
  }

  Folder folder_;
  std::string hosts_ = folder_ / "hosts";
  std::unique_ptr<NameServer> server_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<MainLoop> loop_;
};

}  // namespace rum::test

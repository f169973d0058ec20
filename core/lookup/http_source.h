// Records behind HTTP: one GET for each user, by libcurl on the look-up thread's loop.
#pragma once

#include <curl/curl.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "lookup/remote_source.h"

namespace rum {

class HttpSource final : public RemoteSource {
 public:
  HttpSource(SourceHost& host, size_t index, const MapSource& source, const SourceOptions& options);
  ~HttpSource() override;

  void Start() override;
  void Ask(const std::string& user) override;

 private:
  using Event = std::unique_ptr<event, decltype(&event_free)>;
  struct Transfer;  // one request
  struct Socket;    // of libcurl, with its event

  void Resolve();
  void SetAddresses(const std::vector<SocketAddress>& addresses);
  void Begin(const std::string& user, bool check);
  bool SetUp(Transfer& transfer);
  void CollectEnded();
  void End(std::unique_ptr<Transfer> transfer, CURLcode result);
  void OnAnswer(const Transfer& transfer, long status);
  void OnFailure(const Transfer& transfer, const std::string& why, bool of_connection);
  void Check();
  void GoUp();
  void GoDown(const std::string& why);
  void Unavailable(const std::string& user, const std::string& why);

  static int OnSocket(CURL*, curl_socket_t fd, int what, void* self, void* socket);
  static int OnTimeout(CURLM*, long milliseconds, void* self);
  static void OnEvent(evutil_socket_t fd, short what, void* self);
  static void OnTimer(evutil_socket_t, short, void* self);
  static void OnCheckDue(evutil_socket_t, short, void* self);
  static size_t OnHeader(char* bytes, size_t one, size_t size, void* transfer);
  static size_t OnBody(char* bytes, size_t one, size_t size, void* transfer);

  SourceHost& host_;
  const size_t index_;
  const MapSource source_;
  const SourceOptions options_;
  std::string origin_;  // the URL before the path
  CURLM* multi_;
  Event timer_, check_due_;
  curl_slist* headers_ = nullptr;
  std::shared_ptr<curl_slist> addresses_;  // as CURLOPT_RESOLVE takes them
  std::string addresses_text_;
  uint64_t resolved_ = 0;  // when, monotonic ms; 0: never
  bool resolving_ = false;
  std::deque<std::string> held_;  // users whose question waits for addresses
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<CURL*> spare_;  // handles for the next requests
  bool checking_ = false;
  bool down_ = false;
  unsigned failures_ = 0;  // of connections, in a row
};

}  // namespace rum

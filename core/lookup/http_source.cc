#include "lookup/http_source.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "config.h"
#include "lookup/record_line.h"
#include "map/column.h"

namespace rum {
namespace {

constexpr size_t kBodyMost = 64 * 1024;
constexpr size_t kHeadMost = 32 * 1024;
constexpr long kConnectionsMost = 16;
constexpr size_t kSpareMost = 64;
constexpr uint64_t kResolveEvery = 1000;  // ms
constexpr timeval kCheckEvery = {2, 0};
constexpr long kConnectionSeconds = 60;  // then the next one uses the newest address
constexpr unsigned kFailuresMost = 3;
constexpr const char* kCheckUser = "rum-check";  // whether there is such a user does not matter

bool StartsWithWord(std::string_view line, std::string_view word) {
  return line.size() > word.size() &&
         std::equal(word.begin(), word.end(), line.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

}  // namespace

struct HttpSource::Transfer {
  std::string user;
  bool check = false;
  CURL* easy = nullptr;
  std::string url, body;
  std::shared_ptr<curl_slist> addresses;  // until libcurl has read them
  size_t head = 0;                        // bytes of headers
  bool framed = false;  // the end of the body is marked, so that a cut one is noticed
  bool too_large = false;
  char error[CURL_ERROR_SIZE] = "";
};

struct HttpSource::Socket {
  Event event = {nullptr, event_free};
};

HttpSource::HttpSource(SourceHost& host, size_t index, const MapSource& source,
                       const SourceOptions& options)
    : host_(host),
      index_(index),
      source_(source),
      options_(options),
      multi_(curl_multi_init()),
      timer_(evtimer_new(host.base(), OnTimer, this), event_free),
      check_due_(event_new(host.base(), -1, EV_PERSIST, OnCheckDue, this), event_free) {
  const bool v6 = source_.host.find(':') != std::string::npos;
  const std::string name = source_.path.empty() ? source_.host : "localhost";
  origin_ = std::string(source_.tls ? "https://" : "http://") + (v6 ? "[" + name + "]" : name);
  if (source_.path.empty()) origin_ += ":" + std::to_string(source_.port);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, OnTimeout);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, kConnectionsMost);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kConnectionsMost);
  if (!options_.token.empty()) {
    headers_ = curl_slist_append(headers_, ("Authorization: Bearer " + options_.token).c_str());
  }
}

HttpSource::~HttpSource() {
  for (auto& transfer : transfers_) {
    curl_multi_remove_handle(multi_, transfer->easy);
    curl_easy_cleanup(transfer->easy);
  }
  for (CURL* easy : spare_) curl_easy_cleanup(easy);
  curl_multi_cleanup(multi_);
  curl_slist_free_all(headers_);
}

void HttpSource::Start() {
  event_add(check_due_.get(), &kCheckEvery);
  Check();
}

// -- questions ------------------------------------------------------------------------------------

void HttpSource::Ask(const std::string& user) {
  const bool named = source_.path.empty() && !SocketAddress::Numeric(source_.host, 0);
  if (!named) return Begin(user, false);
  if (resolved_ && NowMillis() - resolved_ < kResolveEvery) return Begin(user, false);
  held_.push_back(user);
  Resolve();
}

// The resolver caches names; libcurl gets its addresses, and looks up none.
void HttpSource::Resolve() {
  if (std::exchange(resolving_, true)) return;
  host_.Resolve(source_.host, [this](std::vector<SocketAddress> found) {
    resolving_ = false;
    auto held = std::exchange(held_, {});
    if (!found.empty()) SetAddresses(found);
    for (const std::string& user : held) {
      if (!found.empty()) {
        user.empty() ? Begin(kCheckUser, true) : Begin(user, false);
      } else if (!user.empty()) {
        Unavailable(user, "the name " + source_.host + " has no address");
      }
    }
    if (found.empty()) GoDown("the name " + source_.host + " has no address");
  });
}

void HttpSource::SetAddresses(const std::vector<SocketAddress>& addresses) {
  resolved_ = NowMillis();
  std::string text = source_.host + ":" + std::to_string(source_.port) + ":";
  for (size_t i = 0; i < addresses.size(); ++i) {
    const std::string host = addresses[i].host();
    text += (i ? "," : "") + (host.find(':') == host.npos ? host : "[" + host + "]");
  }
  if (text == addresses_text_) return;
  addresses_.reset(curl_slist_append(nullptr, text.c_str()), curl_slist_free_all);
  addresses_text_ = std::move(text);
}

void HttpSource::Begin(const std::string& user, bool check) {
  auto transfer = std::make_unique<Transfer>();
  transfer->user = user;
  transfer->check = check;
  transfer->url = origin_ + ForUser(source_.target, PercentEncoded(user));
  if (!spare_.empty()) {
    transfer->easy = spare_.back();
    spare_.pop_back();
  } else {
    transfer->easy = curl_easy_init();
  }
  if (!transfer->easy || !SetUp(*transfer) ||
      curl_multi_add_handle(multi_, transfer->easy) != CURLM_OK) {
    if (transfer->easy) curl_easy_cleanup(transfer->easy);
    return OnFailure(*transfer, "libcurl is out of memory", true);
  }
  transfers_.push_back(std::move(transfer));
}

bool HttpSource::SetUp(Transfer& transfer) {
  CURL* easy = transfer.easy;
  bool fine = true;
  auto set = [&](CURLoption option, auto value) {
    fine &= curl_easy_setopt(easy, option, value) == CURLE_OK;
  };
  set(CURLOPT_URL, transfer.url.c_str());
  set(CURLOPT_PRIVATE, &transfer);
  set(CURLOPT_ERRORBUFFER, transfer.error);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, "");  // nor one of the environment
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_USERAGENT, "rum/" PACKAGE_VERSION);
  set(CURLOPT_HEADERFUNCTION, OnHeader);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, OnBody);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_MAXFILESIZE, static_cast<long>(kBodyMost));
#if LIBCURL_VERSION_NUM >= 0x075000
  set(CURLOPT_MAXLIFETIME_CONN, kConnectionSeconds);
#endif
  if (headers_) set(CURLOPT_HTTPHEADER, headers_);
  transfer.addresses = addresses_;
  if (addresses_) set(CURLOPT_RESOLVE, addresses_.get());
  if (!source_.path.empty()) set(CURLOPT_UNIX_SOCKET_PATH, source_.path.c_str());
  if (source_.tls) {
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!options_.authorities.empty()) {
      set(CURLOPT_CAINFO, options_.authorities.c_str());
      set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
  }
  return fine;
}

size_t HttpSource::OnHeader(char* bytes, size_t, size_t size, void* of) {
  auto& transfer = *static_cast<Transfer*>(of);
  transfer.head += size;
  const std::string_view line(bytes, size);
  if (line.starts_with("HTTP/")) transfer.framed = false;  // after an interim answer
  const bool chunks =
      StartsWithWord(line, "transfer-encoding:") && line.find("chunked") != line.npos;
  transfer.framed |= chunks || StartsWithWord(line, "content-length:");
  return transfer.head > kHeadMost ? 0 : size;
}

size_t HttpSource::OnBody(char* bytes, size_t, size_t size, void* of) {
  auto& transfer = *static_cast<Transfer*>(of);
  transfer.too_large |= transfer.body.size() + size > kBodyMost;
  if (transfer.too_large) return 0;
  transfer.body.append(bytes, size);
  return size;
}

// -- answers --------------------------------------------------------------------------------------

void HttpSource::CollectEnded() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    const CURLcode result = message->data.result;  // the message is gone after the next call
    auto found = std::find_if(transfers_.begin(), transfers_.end(),
                              [easy](const auto& one) { return one->easy == easy; });
    auto transfer = std::move(*found);
    transfers_.erase(found);
    End(std::move(transfer), result);
  }
}

void HttpSource::End(std::unique_ptr<Transfer> transfer, CURLcode result) {
  CURL* easy = transfer->easy;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(multi_, easy);
  if (spare_.size() < kSpareMost) {
    curl_easy_reset(easy);
    spare_.push_back(easy);
  } else {
    curl_easy_cleanup(easy);
  }
  if (result == CURLE_OK) return OnAnswer(*transfer, status);
  std::string why;
  AppendEscaped(why, transfer->error[0] ? transfer->error : curl_easy_strerror(result));
  if (result == CURLE_COULDNT_CONNECT && !source_.path.empty()) {
    why = "cannot connect to " + source_.path;  // libcurl names localhost
  }
  if (transfer->too_large) why = "the body is larger than 64 KiB";
  OnFailure(*transfer, why, status == 0);
}

void HttpSource::OnAnswer(const Transfer& transfer, long status) {
  if (status != 200 && status != 404) {
    return OnFailure(transfer, "HTTP status " + std::to_string(status), false);
  }
  GoUp();
  if (transfer.check) return;
  if (status == 404) {
    return host_.Answer(index_, transfer.user,
                        {.kind = RemoteAnswer::Kind::kNotFound, .value = nullptr, .why = {}});
  }
  if (!transfer.framed) {
    return Unavailable(transfer.user,
                       "the answer has neither Content-Length nor chunks: it may be cut");
  }
  bool other = false;
  auto value = ReadRecordLine(transfer.user, transfer.body, &other);
  if (value) {
    return host_.Answer(index_, transfer.user,
                        {.kind = RemoteAnswer::Kind::kFound,
                         .value = std::make_shared<const std::string>(std::move(*value)),
                         .why = {}});
  }
  const std::string why = "user " + QuoteBytes(transfer.user) + " " + value.error().text;
  log::Warning("{}: {}", source_.text, why);
  Unavailable(transfer.user, why);
}

// `of_connection`: no status came. A status may concern one user only: a check finds out.
void HttpSource::OnFailure(const Transfer& transfer, const std::string& why, bool of_connection) {
  if (transfer.check) {
    GoDown(why);
  } else {
    Unavailable(transfer.user, why);
    failures_ = of_connection ? failures_ + 1 : 0;
    failures_ >= kFailuresMost ? GoDown(why) : Check();
  }
}

void HttpSource::Unavailable(const std::string& user, const std::string& why) {
  host_.Answer(index_, user,
               {.kind = RemoteAnswer::Kind::kUnavailable, .value = nullptr, .why = why});
}

// -- whether it is up -----------------------------------------------------------------------------

void HttpSource::Check() {
  if (std::exchange(checking_, true)) return;
  const bool named = source_.path.empty() && !SocketAddress::Numeric(source_.host, 0);
  if (!named) return Begin(kCheckUser, true);
  held_.push_back({});  // a check
  Resolve();
}

void HttpSource::GoUp() {
  checking_ = false;
  failures_ = 0;
  if (std::exchange(down_, false)) log::Info("{}: the source is up", source_.text);
  host_.Report(index_, true, {});
}

void HttpSource::GoDown(const std::string& why) {
  checking_ = false;
  if (source_.path.empty()) host_.SuspectName(source_.host);
  if (!std::exchange(down_, true)) log::Warning("{}: the source is down: {}", source_.text, why);
  host_.Report(index_, false, why);
}

void HttpSource::OnCheckDue(evutil_socket_t, short, void* self) {
  static_cast<HttpSource*>(self)->Check();
}

// -- libcurl on the loop --------------------------------------------------------------------------

int HttpSource::OnSocket(CURL*, curl_socket_t fd, int what, void* self, void* of) {
  auto& source = *static_cast<HttpSource*>(self);
  auto* socket = static_cast<Socket*>(of);
  if (what == CURL_POLL_REMOVE) {
    delete socket;
    return 0;
  }
  if (!socket) {
    socket = new Socket;
    curl_multi_assign(source.multi_, fd, socket);
  }
  const int events =
      EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
  socket->event.reset(
      event_new(source.host_.base(), fd, static_cast<short>(events), OnEvent, &source));
  if (socket->event) event_add(socket->event.get(), nullptr);
  return 0;
}

int HttpSource::OnTimeout(CURLM*, long milliseconds, void* self) {
  auto& source = *static_cast<HttpSource*>(self);
  if (milliseconds < 0) {
    event_del(source.timer_.get());
  } else {
    const timeval wait = TimevalOf(Millis(milliseconds));
    event_add(source.timer_.get(), &wait);
  }
  return 0;
}

void HttpSource::OnEvent(evutil_socket_t fd, short what, void* self) {
  auto& source = *static_cast<HttpSource*>(self);
  const int ready =
      (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
  int running = 0;
  curl_multi_socket_action(source.multi_, fd, ready, &running);
  source.CollectEnded();
}

void HttpSource::OnTimer(evutil_socket_t, short, void* self) {
  auto& source = *static_cast<HttpSource*>(self);
  int running = 0;
  curl_multi_socket_action(source.multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  source.CollectEnded();
}

std::unique_ptr<RemoteSource> MakeHttpSource(SourceHost& host, size_t index,
                                             const MapSource& source,
                                             const SourceOptions& options) {
  return std::make_unique<HttpSource>(host, index, source, options);
}

void StartHttp() { curl_global_init(CURL_GLOBAL_DEFAULT); }

}  // namespace rum

// Where the log's lines go: a file, standard error or syslog.
#pragma once

#include <spdlog/spdlog.h>

#include <memory>

#include "base/log.h"
#include "base/result.h"
#include "base/syslog.h"

namespace rum::log {

class FileSink;
class SyslogSink;

struct Target {
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<FileSink> file;  // nullptr: syslog
  std::shared_ptr<SyslogSink> syslog;
  bool json = false;  // format of the current pattern

  void Use(bool as_json);
  // Opens the file again by its name; on failure the old one is still in use.
  Status Reopen();
  void TellLastTarget(bool as_json) const;
};

// `syslog`: connected before --chroot.
Result<Target> MakeTarget(const Options& options, const Syslog& syslog);

}  // namespace rum::log

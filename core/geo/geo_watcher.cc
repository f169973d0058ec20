#include "geo/geo_watcher.h"

#include <atomic>
#include <utility>

namespace rum {

GeoWatcher::GeoWatcher(event_base* base, std::string path, std::function<void()> on_change,
                       FileWatcher::OnError on_error, std::chrono::milliseconds interval)
    : watcher_(
          base, std::move(path), "country database",
          [](const std::string& file,
             const std::atomic<bool>& stop) -> Result<FileWatcher::Loaded> {
            auto database = GeoDatabase::Load(file, &stop);
            if (!database) return database.error();
            const FileStamp stamp = (*database)->stamp();
            return FileWatcher::Loaded{std::move(*database), stamp};
          },
          [this, on_change = std::move(on_change)](std::shared_ptr<const void> value) {
            current_ = std::static_pointer_cast<const GeoDatabase>(std::move(value));
            if (started_) on_change();
          },
          [this, on_error = std::move(on_error)](const Error& error) {
            current_ ? on_error(error) : void(first_error_ = error.text);
          },
          interval) {}

Status GeoWatcher::Start() {
  if (Status s = watcher_.Start(); !s) return s;
  if (!current_) return Error{Fault::kConfig, "--geo-db: " + first_error_};
  started_ = true;
  return Ok();
}

}  // namespace rum

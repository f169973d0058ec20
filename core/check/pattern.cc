#include "check/pattern.h"

#include <algorithm>
#include <optional>

#include "check/bytes_text.h"

namespace rum {
namespace {

using Kind = Piece::Kind;

Error Bad(std::string text) { return Error{Fault::kUsage, std::move(text)}; }

Result<std::string_view> Find(const Captures& captures, const Captures& fresh,
                              const std::string& name) {
  if (auto found = fresh.find(name); found != fresh.end()) return std::string_view(found->second);
  auto found = captures.find(name);
  if (found == captures.end()) return Bad("nothing was captured as $" + name);
  return std::string_view(found->second);
}

// The encoded length; nullopt if it does not fit.
std::optional<std::string> WriteNumber(const Piece& length, size_t size) {
  int64_t number = static_cast<int64_t>(size) + length.adjust;
  if (number < 0 || (length.count < 8 && number >> (8 * length.count) != 0)) return {};
  std::string bytes;
  for (size_t i = 0; i < length.count; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i)));
  }
  if (!length.little) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

// The size that an encoded length stands for; nullopt if it is impossible.
std::optional<size_t> ReadNumber(const Piece& length, std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < length.count; ++i) {
    size_t at = length.little ? length.count - 1 - i : i;
    number = number << 8 | static_cast<unsigned char>(bytes[at]);
  }
  if (number > kPatternMost) return {};
  int64_t size = static_cast<int64_t>(number) - length.adjust;
  return size < 0 ? std::nullopt : std::optional(static_cast<size_t>(size));
}

Error DoesNotFit(const Piece& length, size_t size) {
  return Bad("a length of " + std::to_string(size) + " bytes does not fit into len" +
             std::to_string(8 * length.count));
}

// The number of bytes of the pieces; nullopt if only a received length can tell.
Result<std::optional<size_t>> SizeOf(const Pattern& pattern, const Captures& captures,
                                     std::map<std::string, size_t> fresh) {
  size_t size = 0;
  for (const Piece& piece : pattern) {
    if (piece.kind == Kind::kRest) return std::optional<size_t>();
    if (piece.kind == Kind::kCapture) fresh[piece.bytes] = piece.count;
    if (piece.kind == Kind::kLength) {
      auto parts = SizeOf(piece.parts, captures, fresh);
      if (!parts || !*parts) return parts;
      size += piece.count + **parts;
    } else if (piece.kind == Kind::kUse && fresh.contains(piece.bytes)) {
      size += fresh[piece.bytes];
    } else if (piece.kind == Kind::kUse) {
      auto captured = Find(captures, {}, piece.bytes);
      if (!captured) return captured.error();
      size += captured->size();
    } else {
      size += piece.kind == Kind::kBytes ? piece.bytes.size() : piece.count;
    }
  }
  return std::optional(size);
}

// Compares pieces with received bytes, from the left.
class Matcher {
 public:
  Matcher(std::string_view got, const Captures& captures) : got_(got), captures_(captures) {}

  Result<Verdict> Match(const Pattern& pattern) {
    Status whole = MatchAll(pattern);
    if (!whole) return whole.error();
    if (different_) return Verdict{Verdict::Kind::kDifferent, *different_, {}};
    auto kind = at_ > got_.size() ? Verdict::Kind::kShort : Verdict::Kind::kMatch;
    return Verdict{kind, at_, std::move(fresh_)};
  }

 private:
  Status MatchAll(const Pattern& pattern) {
    for (const Piece& piece : pattern) {
      Status one = MatchOne(piece);
      if (!one || different_) return one;
    }
    return Ok();
  }

  Status MatchOne(const Piece& piece) {
    switch (piece.kind) {
      case Kind::kBytes:
        Compare(piece.bytes);
        return Ok();
      case Kind::kRest:
        at_ = std::max(at_, got_.size());
        return Ok();
      case Kind::kCapture:
        if (at_ + piece.count <= got_.size()) fresh_[piece.bytes] = got_.substr(at_, piece.count);
        [[fallthrough]];
      case Kind::kAny:
        at_ += piece.count;
        return Ok();
      case Kind::kUse: {
        if (at_ > got_.size()) return Ok();  // too short, and the capture may be in what is missing
        auto captured = Find(captures_, fresh_, piece.bytes);
        if (!captured) return captured.error();
        Compare(std::string(*captured));
        return Ok();
      }
      case Kind::kLength:
        return MatchLength(piece);
    }
    return Ok();
  }

  void Compare(std::string_view want) {
    for (size_t i = 0; i < want.size() && at_ + i < got_.size(); ++i) {
      if (want[i] == got_[at_ + i]) continue;
      different_ = at_ + i;
      return;
    }
    at_ += want.size();
  }

  Status MatchLength(const Piece& length) {
    std::map<std::string, size_t> fresh;
    for (const auto& [name, bytes] : fresh_) fresh[name] = bytes.size();
    auto size = SizeOf(length.parts, captures_, fresh);
    if (!size && at_ > got_.size()) return Ok();  // as for kUse
    if (!size) return size.error();
    if (!*size) return MatchOpenLength(length);
    auto number = WriteNumber(length, **size);
    if (!number) return DoesNotFit(length, **size);
    Compare(*number);
    return different_ ? Ok() : MatchAll(length.parts);
  }

  // The parts end with "...": the received length decides.
  Status MatchOpenLength(const Piece& length) {
    size_t begin = at_ + length.count;
    if (begin > got_.size()) {
      at_ = begin;
      return Ok();
    }
    auto size = ReadNumber(length, got_.substr(at_, length.count));
    if (!size) {
      different_ = at_;
      return Ok();
    }
    Matcher inside(got_.substr(begin, std::min(*size, got_.size() - begin)), captures_);
    inside.fresh_ = fresh_;
    Status parts = inside.MatchAll(length.parts);
    if (!parts) return parts;
    fresh_ = std::move(inside.fresh_);
    if (inside.different_) {
      different_ = begin + *inside.different_;
    } else if (inside.at_ > *size) {
      different_ = at_;  // the length is too small for the parts
    }
    at_ = begin + *size;
    return Ok();
  }

  std::string_view got_;
  const Captures& captures_;
  size_t at_ = 0;
  Captures fresh_;
  std::optional<size_t> different_;
};

// For a report: the bytes, which of them are known, and whether more may follow.
struct Picture {
  std::string bytes;
  std::vector<bool> known;
  bool rest = false;
  void Add(std::string_view some, bool sure) {
    bytes += some;
    known.resize(bytes.size(), sure);
  }
};

void Draw(const Pattern& pattern, const Captures& captures, Picture* picture) {
  for (const Piece& piece : pattern) {
    auto captured = piece.kind == Kind::kUse ? captures.find(piece.bytes) : captures.end();
    if (piece.kind == Kind::kBytes) {
      picture->Add(piece.bytes, true);
    } else if (captured != captures.end()) {
      picture->Add(captured->second, true);
    } else if (piece.kind == Kind::kRest) {
      picture->rest = true;
    } else {
      auto size =
          piece.kind == Kind::kLength ? SizeOf(piece.parts, captures, {}) : std::optional<size_t>();
      auto number = size && *size ? WriteNumber(piece, **size) : std::nullopt;
      picture->Add(number.value_or(std::string(piece.count, '?')), number.has_value());
      Draw(piece.parts, captures, picture);
    }
  }
}

}  // namespace

Result<std::string> RenderPattern(const Pattern& pattern, const Captures& captures) {
  std::string bytes;
  for (const Piece& piece : pattern) {
    if (piece.kind == Kind::kBytes) {
      bytes += piece.bytes;
    } else if (piece.kind == Kind::kLength) {
      auto parts = RenderPattern(piece.parts, captures);
      if (!parts) return parts;
      auto number = WriteNumber(piece, parts->size());
      if (!number) return DoesNotFit(piece, parts->size());
      bytes += *number + *parts;
    } else {
      auto captured = Find(captures, {}, piece.bytes);
      if (!captured) return captured.error();
      bytes += *captured;
    }
  }
  return bytes;
}

Result<Verdict> MatchPattern(const Pattern& pattern, std::string_view got,
                             const Captures& captures) {
  return Matcher(got, captures).Match(pattern);
}

std::string DumpPattern(const Pattern& pattern, const Captures& captures) {
  Picture picture;
  Draw(pattern, captures, &picture);
  return HexDump(picture.bytes, 16, &picture.known) +
         (picture.rest ? "    and whatever follows\n" : "");
}

}  // namespace rum

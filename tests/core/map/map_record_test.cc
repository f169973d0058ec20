// The record, the escapes and the text form: what is read, what is refused, and that nothing is
// lost.
#include "map/map_record.h"

#include <gtest/gtest.h>

#include <random>

#include "map/column.h"
#include "map/map_text.h"

namespace rum {
namespace {

using namespace std::string_literals;

const std::string kSecret = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19";

TEST(MapRecord, SeparatesSecretDestinationAndTail) {
  const std::string value = kSecret + "\0tcp:db1:3306\0and\0more"s;
  auto record = ParseMapRecord(value);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->secret, kSecret);
  EXPECT_EQ(record->destination, "tcp:db1:3306");
  EXPECT_EQ(record->tail, "and\0more"s);
  EXPECT_EQ(FormatMapRecord(*record), value);
}

TEST(MapRecord, ReadsAnEmptySecretAsNone) {
  auto value = "\0tcp:db1:3306\0"s;
  auto record = ParseMapRecord(value);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->secret, "");
  EXPECT_EQ(record->destination, "tcp:db1:3306");
  EXPECT_EQ(record->tail, "");
  EXPECT_EQ(FormatMapRecord(*record), value);
}

TEST(MapRecord, ToleratesThatTheLastNulIsMissing) {
  auto value = kSecret + "\0tcp:db1:3306"s;
  auto record = ParseMapRecord(value);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->destination, "tcp:db1:3306");
  EXPECT_EQ(record->tail, "");
}

TEST(MapRecord, RefusesARecordWithoutDestination) {
  for (const auto& value : {""s, "\0"s, "\0\0"s, "\0\0tail"s, kSecret, kSecret + "\0"s,
                            kSecret + "\0\0"s, "tcp:db1:3306"s}) {
    EXPECT_FALSE(ParseMapRecord(value).ok()) << QuoteBytes(value);
  }
}

// RFC 7677, section 3, as PostgreSQL would store it.
TEST(MapRecord, KnowsAVerifierByItsForm) {
  const std::string good =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  EXPECT_TRUE(IsHashedSecret(good));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(IsHashedSecret(good.substr(0, size))) << size;
  }
  EXPECT_FALSE(IsHashedSecret(good + "="));
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"256", "384"},
                                                        {"4096", "0"},
                                                        {"4096", ""},
                                                        {"4096", "4096000000"},
                                                        {"==$", "$"},
                                                        {"WG5d", "WG5\n"},
                                                        {"qY=:", "qY=$"}}) {
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_FALSE(IsHashedSecret(bad)) << bad;
  }
}

TEST(MapRecord, KnowsAnMd5HashByItsForm) {
  const std::string good = "md525dacfe74dce8d3098122097addc8819";
  EXPECT_TRUE(IsHashedSecret(good));
  for (const std::string& bad :
       {"md5"s, good.substr(0, 34), good + "0", good.substr(3), "MD5" + good.substr(3),
        "md525DACFE74DCE8D3098122097ADDC8819"s, "md5" + std::string(32, 'g')}) {
    EXPECT_FALSE(IsHashedSecret(bad)) << bad;
  }
}

TEST(MapRecord, KnowsAHashOfCryptByItsForm) {
  EXPECT_TRUE(IsHashedSecret("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"));
  EXPECT_TRUE(IsHashedSecret("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWQ"));
  for (const char* secret : {"$", "$$12345678", "$6$", "$6$1234567", "$6$1234567!", "$6$1234 5678",
                             "$UP$12345678", "6$12345678", "$pa ss$12345678"}) {
    EXPECT_FALSE(IsHashedSecret(secret)) << secret;
  }
}

TEST(MapRecord, KnowsAHashedSecretByItsForm) {
  EXPECT_TRUE(IsHashedSecret(kSecret));
  EXPECT_TRUE(IsHashedSecret("*2470c0c06dee42fd1618bb99005adca2ec9d1e19"));
  const std::string key = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4/JY";
  EXPECT_TRUE(IsHashedSecret(key));
  for (const auto& secret : {key.substr(8), key + "0", key.substr(0, 50), key.substr(0, 50) + "=",
                             key.substr(0, 50) + "\0"s, "ed25519:"s}) {
    EXPECT_FALSE(IsHashedSecret(secret)) << QuoteBytes(secret);
  }
  const std::string salted =
      "parsec:P0:2VydMxmP9CUJ5jPz/9MuaLV7:wZnGfUUpHCZeWg/S1sT2b/RI6Ha9qPoQ/0e4pA192vM";
  EXPECT_TRUE(IsHashedSecret(salted));
  for (size_t i = 0; i < salted.size(); ++i) {
    std::string cut = salted.substr(0, i);
    EXPECT_FALSE(IsHashedSecret(cut)) << QuoteBytes(cut);
    std::string changed = salted;
    changed[i] = '=';
    EXPECT_FALSE(IsHashedSecret(changed)) << QuoteBytes(changed);
  }
  EXPECT_FALSE(IsHashedSecret(salted + "0"));
  EXPECT_FALSE(IsHashedSecret("parsec:PP" + salted.substr(9)));
  for (const auto& secret :
       {""s, "*"s, kSecret.substr(1), kSecret + "0"s, kSecret.substr(0, 40),
        kSecret.substr(0, 40) + "G"s, kSecret.substr(0, 40) + "\0"s, "x" + kSecret.substr(1)}) {
    EXPECT_FALSE(IsHashedSecret(secret)) << QuoteBytes(secret);
  }
}

TEST(MapColumn, WritesOddBytesSoThatNoTerminalIsMoved) {
  EXPECT_EQ(FormatColumn("alice"), "alice");
  EXPECT_EQ(FormatColumn(""), "-");
  EXPECT_EQ(FormatColumn("-"), "\\x2d");
  EXPECT_EQ(FormatColumn("--"), "--");
  EXPECT_EQ(FormatColumn("="), "\\x3d");
  EXPECT_EQ(FormatColumn("##"), "\\x23#");
  EXPECT_EQ(FormatColumn("a b\tc\\d"), "a\\sb\\x09c\\\\d");
  EXPECT_EQ(FormatColumn("\x1b[2J\x7f\x9b\xc3\xa9\0"s), "\\x1b[2J\\x7f\\x9b\\xc3\\xa9\\x00");
  EXPECT_EQ(QuoteBytes("a\x1b[2J\n"), "'a\\x1b[2J\\x0a'");
  EXPECT_EQ(QuoteBytes(std::string(100, 'a')), "'" + std::string(80, 'a') + "...'");
}

TEST(MapColumn, ReadsBackEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  auto back = ParseColumn(FormatColumn(all));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, all);
  EXPECT_EQ(*ParseColumn("\\x4A\\x4a\xc3\xa9"), "JJ\xc3\xa9");
}

TEST(MapColumn, RefusesUnknownEscapesAndControlBytes) {
  for (const auto& word : {"\\"s, "a\\"s, "\\n"s, "\\x"s, "\\x4"s, "\\xg0"s, "\\x0g"s, "\\X41"s,
                           "a\x01"s, "a\0b"s, "\x7f"s, "a\tb"s}) {
    EXPECT_FALSE(ParseColumn(word).ok()) << QuoteBytes(word);
  }
}

MapEntry Parsed(std::string_view line) {
  auto entry = ParseMapLine(line);
  if (!entry) return {"error", entry.error().text};
  if (!*entry) return {"nothing", ""};
  return **entry;
}
std::string Why(std::string_view line) {
  MapEntry entry = Parsed(line);
  return entry.user == "error" ? entry.value : "accepted";
}

TEST(MapText, ReadsALine) {
  MapEntry entry = Parsed("alice " + kSecret + " tcp:db1:3306");
  EXPECT_EQ(entry.user, "alice");
  EXPECT_EQ(entry.value, kSecret + "\0tcp:db1:3306\0"s);
  entry = Parsed(" \tbob\t\t-   tcp:[::1]:3306,sock:/run/db \t\r");
  EXPECT_EQ(entry.user, "bob");
  EXPECT_EQ(entry.value, "\0tcp:[::1]:3306,sock:/run/db\0"s);
  entry = Parsed("a\\sb\\x00 - sock:/a\\sb tail=\\x01\\x00");
  EXPECT_EQ(entry.user, "a b\0"s);
  EXPECT_EQ(entry.value, "\0sock:/a b\0\x01\0"s);
  entry = Parsed("carol = raw\\x00");
  EXPECT_EQ(entry.user, "carol");
  EXPECT_EQ(entry.value, "raw\0"s);
  EXPECT_EQ(Parsed("\\x2d - tcp:a:1").user, "-");
  EXPECT_EQ(Parsed("\\x23a - tcp:a:1").user, "#a");
  EXPECT_EQ(Parsed("a#b - tcp:a:1").user, "a#b");
  EXPECT_EQ(Parsed("z\xc3\xa9 - tcp:a:1").user, "z\xc3\xa9");
  EXPECT_EQ(Parsed("- = -").value, "");
}

TEST(MapText, SkipsCommentsAndEmptyLines) {
  for (std::string_view line : {"", " ", "\t \t", "\r", "# alice", "   # alice - tcp:a:1"}) {
    EXPECT_EQ(Parsed(line).user, "nothing") << line;
  }
}

TEST(MapText, SaysWhatIsWrongWithALine) {
  EXPECT_EQ(Why("alice"), "a line has three columns (user, secret or -, destination), not 1");
  EXPECT_EQ(Why("alice tcp:a:1"),
            "a line has three columns (user, secret or -, destination), not 2");
  EXPECT_EQ(Why("alice - -"), "user 'alice' has no destination");
  EXPECT_EQ(
      Why("alice secret tcp:a:1"),
      "user 'alice' has a secret that is neither * and 40 hexadecimal digits nor a public key "
      "(ed25519:... or parsec:P0:...), a verifier (SCRAM-SHA-256$...), an MD5 hash "
      "(md5...) or a hash of crypt ($6$...)");
  EXPECT_EQ(Why("- - tcp:a:1"), "user '' is an empty name, which no client can use");
  EXPECT_EQ(Why(std::string(513, 'u') + " - tcp:a:1"),
            "user '" + std::string(80, 'u') + "...' has a name of more than 512 bytes");
  EXPECT_EQ(Why(std::string(512, 'u') + " - tcp:a:1"), "accepted");
  for (std::string_view bad : {"tcp:a", "tcp:a:0", "tcp:a:65536", "a:1", "tcp:a:1,", "tcp::1:1",
                               "sock:", "tcp:a\\x00:1", "tcp:a:1\\x00b"}) {
    EXPECT_EQ(Why("alice - " + std::string(bad)).find("user 'alice' has a bad destination: "), 0u)
        << bad;
  }
  EXPECT_EQ(Why("alice - tcp:a:1 #comment").find("a comment stands on a line of its own"), 0u);
  EXPECT_NE(Why("al\x01ice - tcp:a:1"), "accepted");
  EXPECT_NE(Why("al\\ice - tcp:a:1"), "accepted");
  EXPECT_NE(Why("alice = a b"), "accepted");
  EXPECT_NE(Why("alice ="), "accepted");
}

TEST(MapText, NeverShowsASecretInAnError) {
  EXPECT_EQ(Why("alice hunter2 tcp:a:1").find("hunter2"), std::string::npos);
}

TEST(MapText, WritesTheShortFormWherePossible) {
  EXPECT_EQ(FormatMapLine("alice", kSecret + "\0tcp:db1:3306\0"s),
            "alice " + kSecret + " tcp:db1:3306");
  EXPECT_EQ(FormatMapLine("a b", "\0tcp:db1:3306\0\x01\0"s),
            "a\\sb - tcp:db1:3306 tail=\\x01\\x00");
  EXPECT_EQ(FormatMapLine("-", "\0tcp:db1:3306\0\x80max=5"s), "\\x2d - tcp:db1:3306 max=5");
  EXPECT_EQ(FormatMapLine("#", "\0tcp:db1:3306\0"s), "\\x23 - tcp:db1:3306");
  // What build would refuse, or would not write the same: raw.
  EXPECT_EQ(FormatMapLine("a", "\0tcp:db1:3306"s), "a = \\x00tcp:db1:3306");
  EXPECT_EQ(FormatMapLine("a", "pw\0tcp:db1:3306\0"s), "a = pw\\x00tcp:db1:3306\\x00");
  EXPECT_EQ(FormatMapLine("a", "\0nonsense\0"s), "a = \\x00nonsense\\x00");
  EXPECT_EQ(FormatMapLine("a", ""), "a = -");
  EXPECT_EQ(FormatMapLine("", "="), "- = \\x3d");
}

TEST(MapText, GivesBackTheSameBytesForAnyRecord) {
  std::mt19937 random(4);
  // Pieces that come near to everything that has a meaning.
  const std::vector<std::string> pieces = {"",
                                           "a",
                                           "-",
                                           "=",
                                           "#",
                                           "\\",
                                           "\\x41",
                                           "\x80",
                                           "max=5",
                                           "\x01\0"s,
                                           "disabled",
                                           "tail=",
                                           " ",
                                           "\t",
                                           "\n",
                                           "\0"s,
                                           "\x7f",
                                           "\xff",
                                           "alice",
                                           "tcp:a:1",
                                           "sock:/x",
                                           ",",
                                           "*",
                                           kSecret,
                                           "\0tcp:a:1\0"s,
                                           kSecret + "\0tcp:a:1\0"s,
                                           "\r"};
  auto any = [&] {
    std::string text;
    for (size_t n = random() % 5; n > 0; --n) text += pieces[random() % pieces.size()];
    return text;
  };
  for (int round = 0; round < 100000; ++round) {
    const std::string user = any(), value = any();
    const std::string line = FormatMapLine(user, value);
    auto entry = ParseMapLine(line);
    ASSERT_TRUE(entry.ok() && entry->has_value()) << line;
    ASSERT_EQ((*entry)->user, user) << line;
    ASSERT_EQ((*entry)->value, value) << line;
    for (char c : line) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
  }
}

}  // namespace
}  // namespace rum

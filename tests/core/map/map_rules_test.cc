// The rules of a user: both forms, what is refused, and that nothing is lost.
#include "map/map_rules.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "map/column.h"
#include "map/map_record.h"
#include "map/map_text.h"

namespace rum {
namespace {

using namespace std::string_literals;

std::string Text(const std::string& words) { return "\x80" + words; }

MapRules Rules(std::string_view tail) {
  auto rules = ParseMapRules(tail);
  EXPECT_TRUE(rules.ok()) << QuoteBytes(tail) << " " << (rules ? "" : rules.error().text);
  return rules ? *rules : MapRules{};
}

std::string Why(std::string_view tail) {
  auto rules = ParseMapRules(tail);
  return rules ? "accepted" : rules.error().text;
}

SocketAddress At(const std::string& host) {
  if (host == "unix") {
    sockaddr unix_address = {};
    unix_address.sa_family = AF_UNIX;
    return SocketAddress::From(&unix_address, sizeof unix_address);
  }
  return *SocketAddress::Numeric(host, 40000);
}

bool Allows(const MapRules& rules, const std::string& host) {
  SocketAddress address = At(host);
  return !rules.deny.Contains(address) && (!rules.allow || rules.allow->Contains(address));
}

TEST(MapRules, OfNobodyAreNone) {
  for (const auto& tail : {""s, "\0"s, "\x80"s, "\x80  "s}) {
    MapRules rules = Rules(tail);
    EXPECT_FALSE(rules.allow || rules.from || rules.until || rules.max || rules.rate);
    EXPECT_FALSE(rules.disabled || rules.needs_tls);
    EXPECT_TRUE(rules.deny.empty());
    EXPECT_TRUE(Allows(rules, "192.0.2.1") && Allows(rules, "unix"));
  }
}

TEST(MapRules, AreReadFromText) {
  MapRules rules =
      Rules(Text("allow=10.0.0.0/8,2001:db8::/32 deny=10.6.0.0/16 max=5 rate=20/90s tls=require "
                 "from=2026-01-01T00:00:00Z until=1800000000 disabled note=see\\sticket\\s7"));
  EXPECT_TRUE(Allows(rules, "10.1.2.3"));
  EXPECT_TRUE(Allows(rules, "2001:db8::7"));
  EXPECT_TRUE(Allows(rules, "::ffff:10.1.2.3"));
  EXPECT_FALSE(Allows(rules, "10.6.2.3"));
  EXPECT_FALSE(Allows(rules, "11.1.2.3"));
  EXPECT_FALSE(Allows(rules, "2001:db9::7"));
  EXPECT_FALSE(Allows(rules, "unix"));
  EXPECT_EQ(rules.max, 5u);
  EXPECT_EQ(rules.rate, (Rate{20, Millis(90000)}));
  EXPECT_EQ(rules.from, 1767225600);
  EXPECT_EQ(rules.until, 1800000000);
  EXPECT_TRUE(rules.disabled && rules.needs_tls);
  EXPECT_EQ(rules.note, "see ticket 7");
}

TEST(MapRules, HaveATextForTheClientsOfADisabledUser) {
  EXPECT_EQ(Rules(Text("disabled")).disabled_text, "");
  const std::string tail = Text("disabled=moving,\\sback\\sat\\s14:00\\x1b");
  EXPECT_TRUE(Rules(tail).disabled);
  EXPECT_EQ(Rules(tail).disabled_text, "moving, back at 14:00\x1b");
  EXPECT_EQ(FindMapColumn(tail, "disabled")->value(), "moving, back at 14:00\\x1b");
  EXPECT_FALSE(FindMapColumn(Text("disabled"), "disabled")->has_value());
  EXPECT_EQ(DescribeMapRules(tail),
            std::vector<std::string>{"disabled, clients see: moving, back at 14:00\\x1b"});
  EXPECT_TRUE(Rules(Text("disabled=" + std::string(120, 'x'))).disabled);
}

TEST(MapRules, CountUnixSocketsOnlyWhereTheyAreNamed) {
  EXPECT_TRUE(Allows(Rules(Text("allow=unix")), "unix"));
  EXPECT_FALSE(Allows(Rules(Text("allow=unix")), "127.0.0.1"));
  EXPECT_FALSE(Allows(Rules(Text("deny=unix")), "unix"));
  EXPECT_TRUE(Allows(Rules(Text("deny=0.0.0.0/0")), "unix"));
}

TEST(MapRules, TellNoLimitFromNothingSaid) {
  EXPECT_EQ(Rules(Text("max=off rate=off")).max, 0u);
  EXPECT_EQ(Rules(Text("max=off rate=off")).rate, Rate{});
  EXPECT_FALSE(Rules(Text("note=x")).max);
  EXPECT_FALSE(Rules(Text("note=x")).rate);
}

TEST(MapRules, ReadTimesInBothForms) {
  const std::pair<const char*, int64_t> times[] = {
      {"0", 0},
      {"1767225600", 1767225600},
      {"2026-01-01T00:00:00Z", 1767225600},
      {"2026-01-01t00:00:00z", 1767225600},
      {"2026-01-01T01:00:00+01:00", 1767225600},
      {"2025-12-31T20:30:00-03:30", 1767225600},
      {"2026-01-01T00:00:00.999Z", 1767225600},
      {"2024-02-29T12:00:00Z", 1709208000},
      {"2016-12-31T23:59:60Z", 1483228799},
  };
  for (const auto& [text, seconds] : times) {
    EXPECT_EQ(Rules(Text("until="s + text)).until, seconds) << text;
  }
  for (const char* text :
       {"", "-1", "soon", "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Zx", "26-01-01T00:00:00Z", "1e9",
        "+2026-1-1T00:00:00Z", "99999999999999999999", "2026-01--1T00:00:00Z"}) {
    EXPECT_NE(Why(Text("until="s + text)), "accepted") << text;
  }
}

TEST(MapRules, AreRefusedWhenTheyAreNotUnderstood) {
  EXPECT_EQ(
      Why(Text("alow=10.0.0.0/8")),
      "has rules that cannot be read: 'alow' is not one of allow, deny, country, not-country, "
      "max, rate, tls, from, until, disabled, note");
  EXPECT_EQ(Why(Text("max=5 max=6")), "has rules that cannot be read: max is given twice");
  for (const std::string& bad : {""s, std::string(121, 'x')}) {
    EXPECT_EQ(Why(Text("disabled=" + bad)),
              "has rules that cannot be read: the text of disabled= is not of 1 to 120 bytes");
  }
  EXPECT_EQ(Why(Text("max")), "has rules that cannot be read: max needs a value: max=...");
  EXPECT_EQ(Why(Text("from=10 until=10")),
            "has rules that cannot be read: until is not after from");
  EXPECT_EQ(Why(Text("allow=10.0.0.1/8")),
            "has rules that cannot be read: allow='10.0.0.1/8': address bits are set beyond the "
            "prefix length; write 10.0.0.0/8");
  for (const char* words : {"max=0",
                            "max=",
                            "max=-1",
                            "max=5x",
                            "max=4294967296",
                            "rate=5",
                            "rate=0/s",
                            "rate=5/",
                            "rate=5/d",
                            "rate=/s",
                            "tls=maybe",
                            "tls=",
                            "allow=",
                            "allow=10.0.0.0/33",
                            "allow=,",
                            "allow=localhost",
                            "deny=10.0.0.0/8,",
                            "Max=5",
                            "max =5",
                            "=",
                            "-",
                            "note=\\q",
                            "note=\x01",
                            "\\x6dax",
                            "country=",
                            "country=SVK",
                            "country=CZ,",
                            "country=CZ country=SK",
                            "not-country",
                            "not-country=*",
                            "not-allow=10.0.0.0/8",
                            "country-x=1"}) {
    EXPECT_NE(Why(Text(words)), "accepted") << words;
  }
}

// Version 6.7: flags, then lists with a byte for their size.
const std::string kPairs = "\x0a\0\0\0\xff\0\0\0\xc0\0\x02\x07\xff\xff\xff\xff"s;

TEST(MapRules, AreReadInTheOlderForm) {
  MapRules rules = Rules("\x01\x02"s + kPairs);
  EXPECT_TRUE(Allows(rules, "10.255.0.1"));
  EXPECT_TRUE(Allows(rules, "192.0.2.7"));
  EXPECT_FALSE(Allows(rules, "192.0.2.8"));
  EXPECT_FALSE(Allows(rules, "11.0.0.1"));
  EXPECT_FALSE(Allows(rules, "2001:db8::1"));
  EXPECT_FALSE(Allows(rules, "unix"));
  EXPECT_FALSE(rules.has_countries());

  rules = Rules("\x03\x01\x0a\x01\x02\x03\xff\xff\0\0\x02SKCZ"s);
  EXPECT_TRUE(Allows(rules, "10.1.9.9"));
  EXPECT_FALSE(Allows(rules, "10.2.9.9"));
  EXPECT_TRUE(rules.older);
  EXPECT_EQ(rules.country->text(), "CZ,SK");

  rules = Rules("\x02\x01SK"s);
  EXPECT_FALSE(rules.allow.has_value());
  EXPECT_EQ(rules.country->text(), "SK");
  // The older program matched these with no address, ended its list at a zero, and took no list for
  // no restriction.
  EXPECT_EQ(Rules("\x02\x03SK\0\0CZ"s).country->text(), "SK");
  EXPECT_EQ(Rules("\x02\x01??"s).country->text(), "");
  EXPECT_EQ(Rules("\x02\x01\0\0"s).country->text(), "");
  EXPECT_FALSE(Rules("\x02\0"s).country);
}

TEST(MapRules, NameCountries) {
  MapRules rules = Rules(Text("country=CZ,SK not-country=de"));
  EXPECT_EQ(rules.country->text(), "CZ,SK");
  EXPECT_EQ(rules.not_country.text(), "DE");
  EXPECT_FALSE(rules.older);
  EXPECT_FALSE(Rules(Text("max=1")).has_countries());
  EXPECT_TRUE(Rules(Text("not-country=DE")).has_countries());
  EXPECT_FALSE(IsMapColumnName("not-country"));
  EXPECT_FALSE(IsMapColumnName("not-a"));
  EXPECT_TRUE(IsMapColumnName("note2-a"));
  EXPECT_EQ(DescribeMapRules(Text("not-country=DE,AT country=CZ")),
            (std::vector<std::string>{"allowed only from the countries CZ",
                                      "refused from the countries AT,DE"}));
}

TEST(MapRules, OfTheOlderFormEndTheirListAtAZeroPair) {
  // As the older program did: what follows was never looked at, and a zero pair is nobody.
  MapRules rules =
      Rules("\x01\x03"s + kPairs.substr(0, 8) + std::string(8, '\0') + kPairs.substr(8));
  EXPECT_TRUE(Allows(rules, "10.0.0.1"));
  EXPECT_FALSE(Allows(rules, "192.0.2.7"));
  EXPECT_FALSE(Allows(Rules("\x01\x01"s + std::string(8, '\0')), "10.0.0.1"));
  // And a list of none did not restrict.
  EXPECT_TRUE(Allows(Rules("\x01\0"s), "10.0.0.1"));
}

TEST(MapRules, OfTheOlderFormAreRefusedWhenBroken) {
  const std::string whole = "\x03\x02"s + kPairs + "\x02SKCZ";
  EXPECT_EQ(Why(whole), "accepted");
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_NE(Why(whole.substr(0, size)), "accepted") << size;
  }
  EXPECT_EQ(Why(whole + "x"), "has rules that cannot be read: extra bytes follow the lists");
  EXPECT_EQ(Why("\x01\x01\x0a\0\0\0\xff\0\xff\0"s),
            "has rules that cannot be read: a network mask is invalid");
  for (int flags = 4; flags < 256; ++flags) {
    if (flags == 0x80) continue;
    EXPECT_EQ(Why(std::string(1, static_cast<char>(flags))),
              "has rules that cannot be read: the form " + std::to_string(flags) + " is not known");
  }
}

TEST(MapRules, AreDescribedInWords) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(DescribeMapRules(""), Lines());
  EXPECT_EQ(
      DescribeMapRules(Text("allow=10.0.0.0/8,unix deny=10.6.0.0/16 max=5 rate=2/m tls=require "
                            "from=0 until=1767225600 disabled note=a\\sb\\x1b")),
      (Lines{"disabled", "allowed only from 10.0.0.0/8,unix", "refused from 10.6.0.0/16",
             "must use TLS", "not before 1970-01-01T00:00:00Z", "not from 2026-01-01T00:00:00Z on",
             "at most 5 connections", "at most 2/m logins", "note a b\\x1b"}));
  EXPECT_EQ(DescribeMapRules(Text("max=1 rate=off")),
            (Lines{"at most 1 connection", "any number of logins"}));
  EXPECT_EQ(DescribeMapRules("\x03\x02"s + kPairs + "\x02SKCZ"),
            (Lines{"allowed only from the countries (with --geo-db) SK,CZ",
                   "allowed only from 10.0.0.0/8,192.0.2.7/32"}));
  EXPECT_EQ(DescribeMapRules("\x04"s),
            Lines{"has rules that cannot be read: the form 4 is not known"});
}

std::string Build(const std::string& line) {
  auto entry = ParseMapLine(line);
  if (!entry) return entry.error().text;
  return std::string(ParseMapRecord((*entry)->value)->tail);
}

TEST(MapRules, StandInALineAsFurtherColumns) {
  EXPECT_EQ(Build("alice - tcp:a:1 max=5\t allow=10.0.0.0/8"), Text("max=5 allow=10.0.0.0/8"));
  EXPECT_EQ(Build("alice - tcp:a:1 note=z\xc3\xa9"), Text("note=z\\xc3\\xa9"));
  EXPECT_EQ(Build("alice - tcp:a:1 tail=\\x01\\x00"), "\x01\0"s);
  EXPECT_EQ(Build("alice - tcp:a:1 -"), "");
  EXPECT_EQ(Build("alice - tcp:a:1 mx=5"),
            "user 'alice' has rules that cannot be read: 'mx' is not one of allow, deny, country, "
            "not-country, max, rate, tls, from, until, disabled, note");
  EXPECT_EQ(Build("alice - tcp:a:1 max=5 tail=x").find("user 'alice' has rules"), 0u);
  EXPECT_EQ(Build("alice - tcp:a:1 tail=\\x04").find("user 'alice' has rules"), 0u);
}

TEST(MapRules, StandBesideTheColumnsOfModules) {
  EXPECT_EQ(Build("alice - tcp:a:1 max=5 pgsql-db=app\\s1"), Text("max=5 pgsql-db=app\\s1"));
  EXPECT_EQ(Rules(Text("pgsql-db=app1 max=5")).max, 5u);
  EXPECT_EQ(FindMapColumn(Text("max=5 pgsql-db=app\\s1"), "pgsql-db")->value(), "app 1");
  EXPECT_FALSE(FindMapColumn(Text("max=5 pgsql-db=app1"), "pgsql-d")->has_value());
  EXPECT_EQ(FormatMapLine("u", "\0tcp:a:1\0"s + Text("pgsql-db=app1 max=5")),
            "u - tcp:a:1 pgsql-db=app1 max=5");
  EXPECT_EQ(DescribeMapRules(Text("max=5 pgsql-db=a\\x1b")),
            (std::vector<std::string>{"at most 5 connections", "pgsql-db a\\x1b"}));
}

TEST(MapRules, AreNoColumnsWhenTheyAreWrittenWrong) {
  const std::string why = "has rules that cannot be read: ";
  EXPECT_EQ(Why(Text("pgsql-db")), why + "'pgsql-db' needs a value: pgsql-db=...");
  EXPECT_EQ(Why(Text("pgsql-db=a pgsql-db=b")), why + "pgsql-db is given twice");
  for (const char* words :
       {"tls-require=yes", "max-5=1", "allow-from=10.0.0.1", "disabled-x=1", "-db=1", "pgsql-=1",
        "Pgsql-db=1", "pgsql-DB=1", "9p-db=1", "a.b-c=1"}) {
    EXPECT_NE(Why(Text(words)).find(" is not one of allow"), std::string::npos) << words;
  }
  EXPECT_NE(Why(Text(std::string(kMapColumnNameMost, 'p') + "-x=1")), "accepted");
  std::string many;
  for (uint32_t i = 0; i < kMapColumnsMost; ++i) many += " pgsql-" + std::to_string(i) + "=x";
  EXPECT_EQ(Why(Text(many)), "accepted");
  EXPECT_EQ(Why(Text(many + " pgsql-x=x")), why + "there are more than 16 module columns");
}

TEST(MapRules, ComeBackFromALineByteForByte) {
  const std::string value = "\0tcp:a:1\0"s;
  EXPECT_EQ(FormatMapLine("u", value + Text("max=5 note=a\\sb")), "u - tcp:a:1 max=5 note=a\\sb");
  EXPECT_EQ(FormatMapLine("u", value + "\x01\0"s), "u - tcp:a:1 tail=\\x01\\x00");
  // Readable, but not as rum-map would write it.
  EXPECT_EQ(FormatMapLine("u", value + Text("max=5  disabled")),
            "u - tcp:a:1 tail=\\x80max=5\\s\\sdisabled");
  // Not readable: raw, which build takes as it is.
  EXPECT_EQ(FormatMapLine("u", value + "max=5"), "u = \\x00tcp:a:1\\x00max=5");
  for (const std::string& tail :
       {""s, Text(""), Text("max=5"), Text(" max=5"), Text("max=5 "), Text("disabled  max=5"),
        Text("note=\xff"), Text("note=-"), Text("-"), Text("tail=x"), "tail=x"s, "\x01\0"s, "\x04"s,
        "\0"s, Text("note=\\x41"), Text("note=a\\sb max=1")}) {
    auto entry = ParseMapLine(FormatMapLine("u", value + tail));
    ASSERT_TRUE(entry.ok()) << QuoteBytes(tail) << " " << entry.error().text;
    EXPECT_EQ((*entry)->value, value + tail) << QuoteBytes(tail);
  }
}

}  // namespace
}  // namespace rum

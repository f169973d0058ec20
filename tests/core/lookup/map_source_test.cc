#include "lookup/map_source.h"

#include <gtest/gtest.h>

#include <string>

#include "config.h"

namespace rum {
namespace {

using Kind = MapSource::Kind;

MapSource One(const std::string& text) {
  auto sources = ParseMapSources(text);
  EXPECT_TRUE(sources) << text << ": " << sources.error().text;
  return sources && sources->size() == 1 ? (*sources)[0] : MapSource();
}

std::string FaultOf(const std::string& text) {
  auto sources = ParseMapSources(text);
  return sources ? "good" : sources.error().text;
}

TEST(MapSource, AFileIsAsBefore) {
  for (const char* name :
       {"users.cdb", "/a,b/users.cdb", "a,b", "./redis:file", "old:users.cdb", "a b"}) {
    EXPECT_EQ(One(name).path, name);
    EXPECT_FALSE(One(name).remote());
  }
}

TEST(MapSource, RedisHasHostDatabaseUserAndKey) {
  MapSource s = One("redis://rum@db.example:6380/2?key=rum:user:{user}&marker=m&channel=c");
  EXPECT_EQ(s.kind, Kind::kRedis);
  EXPECT_EQ(s.host, "db.example");
  EXPECT_EQ(s.port, 6380);
  EXPECT_EQ(s.user, "rum");
  EXPECT_EQ(s.database, 2u);
  EXPECT_EQ(s.key, "rum:user:{user}");
  EXPECT_EQ(s.marker, "m");
  EXPECT_EQ(s.channel, "c");
  s = One("redis://[::1]?key=users&field={user}");
  EXPECT_EQ(s.host, "::1");
  EXPECT_EQ(s.port, 6379);
  EXPECT_EQ(s.field, "{user}");
  EXPECT_EQ(s.marker, "rum:map:id");
  s = One("redis://[::1]:7000/?key=a%26b%2c{user}");
  EXPECT_EQ(s.port, 7000);
  EXPECT_EQ(s.key, "a&b,{user}");
  EXPECT_TRUE(One("rediss://h/?key={user}").tls);
  s = One("redis+sock:/run/redis.sock?key={user}&db=3");
  EXPECT_EQ(s.path, "/run/redis.sock");
  EXPECT_EQ(s.database, 3u);
}

#ifdef HAVE_CURL
TEST(MapSource, HttpHasHostAndPath) {
  MapSource s = One("http://h:8080/users/{user}?x=1");
  EXPECT_EQ(s.kind, Kind::kHttp);
  EXPECT_EQ(s.port, 8080);
  EXPECT_EQ(s.target, "/users/{user}?x=1");
  s = One("https://h/{user}");
  EXPECT_TRUE(s.tls);
  EXPECT_EQ(s.port, 443);
  s = One("http+unix:/run/users.sock:/u/{user}");
  EXPECT_EQ(s.path, "/run/users.sock");
  EXPECT_EQ(s.target, "/u/{user}");
}
#endif

TEST(MapSource, SentinelsByTls) {
  auto sources = ParseMapSources("sentinels://a,b:2/main?key={user},users.cdb");
  ASSERT_TRUE(sources) << sources.error().text;
  ASSERT_EQ(sources->size(), 2u);
  const MapSource& s = sources->front();
  EXPECT_TRUE(s.tls);
  EXPECT_EQ(s.sentinels.size(), 2u);
  EXPECT_EQ(s.master, "main");
  EXPECT_FALSE(ParseShare("sentinels://a/main"));
}

TEST(MapSource, SentinelsNameTheMaster) {
  auto sources = ParseMapSources("sentinel://u@a:1,b,[::1]:2/main/3?key={user},users.cdb");
  ASSERT_TRUE(sources) << sources.error().text;
  ASSERT_EQ(sources->size(), 2u);
  const MapSource& s = (*sources)[0];
  ASSERT_EQ(s.sentinels.size(), 3u);
  EXPECT_EQ(s.sentinels[0].port, 1);
  EXPECT_EQ(s.sentinels[1].port, 26379);
  EXPECT_EQ(s.sentinels[2].name, "::1");
  EXPECT_EQ(s.master, "main");
  EXPECT_EQ(s.database, 3u);
  EXPECT_EQ(s.user, "u");
  EXPECT_EQ(One("sentinel://a/main?key={user}").database, 0u);
  for (const char* text :
       {"sentinel://a?key={user}", "sentinel://a/?key={user}", "sentinel://a,/m?key={user}",
        "sentinel:///m?key={user}", "sentinel://a,b", "sentinel://a/m/x?key={user}"}) {
    EXPECT_NE(FaultOf(text), "good") << text;
  }
}

TEST(MapSource, SourcesAreSeparatedByCommas) {
  auto sources = ParseMapSources("redis://a/?key={user},redis+sock:/b?key={user},/var/users.cdb");
  ASSERT_TRUE(sources);
  ASSERT_EQ(sources->size(), 3u);
  EXPECT_EQ((*sources)[2].path, "/var/users.cdb");
  sources = ParseMapSources(" redis://a/?key={user} , /var/users.cdb ");
  ASSERT_TRUE(sources);
  ASSERT_EQ(sources->size(), 2u);
  EXPECT_EQ((*sources)[0].key, "{user}");
  EXPECT_EQ((*sources)[1].path, "/var/users.cdb");
}

TEST(MapSource, RefusesMistakes) {
  for (const char* text :
       {"redis://h/", "redis://h/?key=x", "redis://h/x?key={user}", "redis://h:0/?key={user}",
        "redis://?key={user}", "redis://h/?key={user}&db=1", "redis://h/?key={user}&foo=1",
        "redis://h/?key=%zz{user}", "redis://@h/?key={user}", "redis+sock:run?key={user}",
        "redis://h/?field={user}", "redis://h/?key={user}&marker=", "redis://a/?key={user},",
        "redis://a/?key={user},redis://a/?key={user}", "a.cdb,b.cdb,redis://a/?key={user}",
        "http://h/", "http://u:p@h/{user}"}) {
    EXPECT_NE(FaultOf(text), "good") << text;
  }
}

TEST(MapSource, WhatLooksLikeASourceIsNoFile) {
  for (const char* text :
       {"redis:h:6379/0?key={user}", "REDIS://h/?key={user}", "redis+unix:/run/s?key={user}",
        "unix:/run/redis.sock", "https:/h/{user}", "mysql://h/users", "h:6379/{user}"}) {
    EXPECT_NE(FaultOf(text).find("is no source"), std::string::npos) << FaultOf(text);
  }
}

TEST(MapSource, NoErrorShowsAPassword) {
  for (const char* text :
       {"redis://:s3cr3t@h/?key={user}", "redis://u:s3cr3t@h/?key=x", "http://u:s3cr3t@h/x",
        "redis:u:s3cr3t@h/?key={user}", "redis://h/?key={user}&password=s3cr3t"}) {
    EXPECT_EQ(FaultOf(text).find("redis://h/?") == std::string::npos ? FaultOf(text).find("s3cr3t")
                                                                     : std::string::npos,
              std::string::npos)
        << FaultOf(text);
  }
}

TEST(MapSource, ReadsTheRedisOfSharedLimits) {
  auto share = ParseShare("rediss://node@redis.example:6380/2?key=nodes:");
  ASSERT_TRUE(share.ok()) << share.error().text;
  EXPECT_EQ(share->host, "redis.example");
  EXPECT_EQ(share->port, 6380);
  EXPECT_EQ(share->database, 2u);
  EXPECT_EQ(share->user, "node");
  EXPECT_EQ(share->key, "nodes:");
  EXPECT_TRUE(share->tls);
  EXPECT_EQ(ParseShare("redis://h")->key, "rum:");
  EXPECT_EQ(ParseShare("redis+sock:/run/redis?key=a:&db=3")->database, 3u);
  for (const char* text : {"", "users.cdb", "http://h/{user}", "redis://", "redis://h/?key=",
                           "redis://h/?field=x", "redis://h/?marker=x", "redis://h/?channel=x",
                           "redis://h/x", "redis+sock:run", "redis://:s3cr3t@h/"}) {
    auto bad = ParseShare(text);
    EXPECT_FALSE(bad.ok()) << text;
    EXPECT_EQ(bad.ok()
                  ? ""
                  : std::string(bad.error().text.find("s3cr3t") == std::string::npos ? "" : "s"),
              "");
  }
  EXPECT_FALSE(ParseShare("redis://h/?key=" + std::string(201, 'x')).ok());
}

TEST(MapSource, PutsTheUserIntoKeysAndPaths) {
  EXPECT_EQ(ForUser("a:{user}:{user}", "{user}"), "a:{user}:{user}");
  EXPECT_EQ(ForUser("a:{user}", std::string_view("x\0y", 3)), std::string("a:x\0y", 5));
  EXPECT_EQ(PercentEncoded("a/../b?%\xff~"), "a%2F..%2Fb%3F%25%FF~");
}

}  // namespace
}  // namespace rum

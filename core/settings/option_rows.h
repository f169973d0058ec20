// The table of rum's own options: --help, the manual and the completion come from these rows, and a
// test fails on a row that the manual does not have.
#pragma once

#include "config.h"
#include "settings/settings.h"

namespace rum {

// The group of what rumctl can set.
inline constexpr const char* kLimitsGroup = "Limits";
inline constexpr const char* kAddressGroup =
    "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)";
inline constexpr const char* kTimeoutGroup = "Timeouts (250ms, 6s, 5m, 1h, off)";
inline constexpr const char* kNamesGroup = "Host names";
inline constexpr const char* kMapGroup = "User map on another machine (redis:, http:)";
inline constexpr const char* kShareGroup = "Shared limits";
inline constexpr const char* kLogGroup = "Log and statistics";

struct OptionRow {
  const char* flags;
  const char* value;  // nullptr: a flag
  const char* group;
  const char* help;
  bool reload = false;  // HUP applies a change of it; others need a new process
};

#ifdef HAVE_MAXMINDDB
#define RUM_GEO_MISSING ""
#else
#define RUM_GEO_MISSING " (this build cannot: it has no libmaxminddb)"
#endif

inline constexpr OptionRow kOptionRows[] = {
    {"-s,--listen", "ADDR", kAddressGroup, "accept clients here; may be repeated"},
    {"-d,--destination", "ADDR[,ADDR...]", kAddressGroup,
     "the default server, or a list of servers for --balance; may be repeated", true},
    {"--socket-mode", "OCTAL", kAddressGroup,
     "file mode of the unix sockets that rum listens on (0777)"},

    {"--balance", "first|round-robin|random|least|source", "Servers",
     "which server of a list to try first: the first one, each in turn, a random one, the one with "
     "the fewest sessions, or always the same for one client address (first)",
     true},
    {"--breaker", "N/TIME|off", "Servers",
     "circuit breaker: stop using a server for a while after N failed attempts in a row within "
     "TIME (5/10s)",
     true},
    {"--health-check", "TIME", "Servers",
     "health check interval of each server in use; off: no health checks (10s)"},
    {"--source-address", "IP[,IP...]", "Servers",
     "connect to servers from this address; from the next one when its ports are used up", true},
    {"--send-proxy", "off|v1|v2", "Servers",
     "tell servers the client's address in a PROXY protocol header (off)", true},

    {"-P,--protocol", "MODULE", "Protocol",
     "the protocol module (passthrough.so; with -M " RUM_MAP_MODULE ")"},
    {"-M,--map", "SOURCE[,SOURCE...]", "Protocol",
     "the user map: a CDB file made by rum-map, read again when it is replaced; "
     "redis://HOST:PORT/DB?key=rum:user:{user}; http://HOST:PORT/PATH/{user}; or several, each for "
     "the users that those before do not know"},
    {"--map-moved", "keep|end-idle|end", "Protocol",
     "sessions at a server that the map does not name for their user any more: keep them, end each "
     "once it is idle, or end all (keep)",
     true},
    {"--module-dir", "DIR", "Protocol", "directory of the modules (" RUM_MODULE_DIR ")"},
    {"--state-dir", "DIR", "Protocol",
     "directory for what rum learns about servers and for its own certificate (" RUM_STATE_DIR ")"},

    {"--map-ttl", "TIME", kMapGroup, "use a record for so long before asking for it again (60s)"},
    {"--map-negative-ttl", "TIME", kMapGroup,
     "believe for so long that a user does not exist (5s)"},
    {"--map-stale", "TIME", kMapGroup,
     "use records of this age while their source is down; off: never (1h)"},
    {"--map-timeout", "TIME", kMapGroup, "one look-up in one source (2s)"},
    {"--map-cache", "BYTES", kMapGroup, "memory for the records of remote sources (64M)"},
    {"--map-password-file", "FILE", kMapGroup, "the password for Redis, in the first line of FILE"},
    {"--map-sentinel-password-file", "FILE", kMapGroup,
     "the password for the Sentinels of sentinel:, in the first line of FILE"},
    {"--map-token-file", "FILE", kMapGroup,
     "the bearer token for HTTP sources, in the first line of FILE"},
    {"--map-ca", "FILE", kMapGroup,
     "CA certificates for rediss:, sentinels: and https:, PEM (the system's)"},

    {"--tls", "off|on|require", "TLS",
     "TLS inside the protocol, for clients: off, offered or required (off)", true},
    {"--tls-cert", "FILE", "TLS",
     "certificate and chain, PEM; without it rum makes a self-signed certificate", true},
    {"--tls-key", "FILE", "TLS", "private key, PEM (in the file of --tls-cert)", true},
    {"--tls-ca", "FILE", "TLS",
     "CA certificates, PEM: each client must show a certificate that one of them signed", true},
    {"--tls-min-version", "1.2|1.3", "TLS", "oldest TLS version, to clients and servers (1.2)",
     true},
    {"--tls-ciphers", "LIST", "TLS", "TLS 1.2 ciphers for clients, as OpenSSL writes them", true},
    {"--upstream-tls", "mirror|off|require|verify", "TLS",
     "TLS to servers: when the client has it, never, always, or always and verified (mirror)",
     true},
    {"--upstream-tls-ca", "FILE", "TLS", "CA certificates for verify, PEM (the system's)", true},
    {"--upstream-tls-name", "NAME", "TLS", "name that server certificates must have (the host)",
     true},

    {"--proxy-from", "NET[,NET...]", "Clients",
     "proxies that must send a PROXY protocol header: networks such as 10.0.0.0/8, or unix (none)",
     true},
    {"--allow", "[LISTENER=]NET[,NET...]", "Clients",
     "access list: accept clients from these networks, or countries such as country:CZ, only, at "
     "one listener or at all; may be repeated (all)",
     true},
    {"--deny", "[LISTENER=]NET[,NET...]", "Clients",
     "access list: refuse clients from these networks or countries, whatever --allow says; may be "
     "repeated",
     true},
    {"--geo-db", "FILE", "Clients",
     "country database (.mmdb), for countries in access lists and in the map; read again when it "
     "is replaced" RUM_GEO_MISSING " (none)",
     true},

    {"--max-connections", "N", "Limits", "client connections at a time (off)", true},
    {"--max-connections-per-ip", "N", "Limits", "connections of one client address at a time (off)",
     true},
    {"--ip-prefix", "BITS", "Limits",
     "IPv6 addresses with the same first BITS count as one client address (64)", true},
    {"--max-connecting", "N", "Limits", "clients that have not finished their login (off)", true},
    {"--max-connecting-per-destination", "N", "Limits",
     "clients that have not finished their login, of one destination (off)", true},
    {"--server-backlog", "N", "Limits",
     "connect throttle: clients that wait for the first byte of one server; others queue (50)",
     true},
    {"--connection-rate", "N/TIME", "Limits", "new connections, such as 500/s (off)", true},
    {"--connection-rate-per-ip", "N/TIME", "Limits",
     "new connections of one client address, such as 10/s (off)", true},
    {"--max-memory", "BYTES", "Limits",
     "memory of the process, such as 512M or 2G; above it new clients are refused (off)", true},
    {"--max-connections-per-user", "N", "Limits",
     "connections of one user at a time; max= in the map wins (off)", true},
    {"--user-rate", "N/TIME", "Limits",
     "logins of one user, such as 5/s or 100/m; rate= in the map wins (off)", true},
    {"--login-failures", "N/TIME[,block=TIME]", "Limits",
     "block a client address after N failed logins within TIME, such as 20/m,block=10m; the block "
     "lasts 1m unless it says otherwise (off)",
     true},
    {"--login-exempt", "NET[,NET...]", "Limits",
     "networks that --login-failures never blocks, such as 10.0.0.0/8; may be repeated", true},

    {"--share", "REDIS", kShareGroup,
     "count the connections and logins of users and client addresses over all processes with the "
     "same redis://HOST:PORT/DB?key=rum:, and block addresses in all (off)"},
    {"--share-password-file", "FILE", kShareGroup,
     "the password for --share, in the first line of FILE"},
    {"--share-ca", "FILE", kShareGroup, "CA certificates for --share rediss:, PEM (the system's)"},
    {"--share-name", "NAME", kShareGroup,
     "what this machine is called there; rum adds a part of its own for each process (the host "
     "name)"},
    {"--share-key-file", "FILE", kShareGroup,
     "a secret that all these processes have, in base64, as from 'openssl rand -base64 32': "
     "requests "
     "to cancel then also reach sessions of the others"},

    {"-b,--background", nullptr, "Running",
     "run in the background; the command returns when rum accepts clients"},
    {"-p,--pidfile", "FILE", "Running", "write the process id to FILE"},
    {"--nofile", "N|auto", "Running",
     "limit of open files; auto: the highest that the system allows (auto)"},
    {"-w,--workers", "N", "Running", "threads that serve clients (one per core)"},
    {"--user", "NAME[:GROUP]", "Running",
     "give up root: become this user, with its own group or GROUP, once everything is open"},
    {"--chroot", "DIR", "Running",
     "change the root directory to DIR before anything is bound or opened"},
    {"--config", "FILE", "Running",
     "read options from FILE and FILE.d/*.conf, as name = value; the command line wins"},
    {"--check", nullptr, "Running",
     "report every mistake in options, certificates and map, and exit"},
    {"--explain", "USER[@IP]", "Running",
     "explain what would happen to a login of USER, from IP or from the word unix, and exit"},

    {"-m,--stats", "ADDR", kLogGroup,
     "statistics over HTTP, with tls:HOST:PORT over HTTPS: / (page), /stats (JSON), /metrics "
     "(Prometheus), /live, /ready"},
    {"--stats-token-file", "FILE", kLogGroup,
     "token that readers of --stats must send, except for /live and /ready; read again by a reload "
     "(none)",
     true},
    {"--ready-servers", "N|N%|off", kLogGroup,
     "/ready answers 503 unless so many of the known servers are up (off)", true},
    {"--metrics-servers", "N", kLogGroup,
     "servers that have metrics of their own, by label; 0: none, at most 10000 (1000)"},
    {"--metrics-users", "N", kLogGroup,
     "users with the most sessions that have a metric of their own; at most 1000 (0)", true},
    {"--control", "sock:PATH", kLogGroup,
     "unix socket for rumctl, which only the owner may open; has the statistics, too"},
    {"-l,--log", "TARGET", kLogGroup, "log to stderr, syslog or a file (stderr; with -b syslog)",
     true},
    {"--log-format", "text|json", kLogGroup, "format of log lines (text)", true},
    {"--log-level", "error|warning|info|debug", kLogGroup,
     "log messages of this level and above; debug: every step of each session (info)", true},
    {"-L,--log-logins", nullptr, kLogGroup, "log each login when it is finished", true},
    {"--log-sessions", "all|failed|none", kLogGroup,
     "which sessions write a line when they end: all, only failed ones (those that neither side "
     "closed, or with failed logins), or none (all)",
     true},

    {"--connect-timeout", "TIME", kTimeoutGroup, "one attempt to connect to a server (6s)", true},
    {"--first-byte-timeout", "TIME", kTimeoutGroup,
     "until the first byte of a server that speaks first (6s)", true},
    {"--login-timeout", "TIME", kTimeoutGroup, "from accept to the end of the login (8s)", true},
    {"--half-close-timeout", "TIME", kTimeoutGroup, "without data after one side has closed (30s)",
     true},
    {"--idle-timeout", "TIME", kTimeoutGroup, "without data from either side (off)", true},
    {"--drain-delay", "TIME", kTimeoutGroup,
     "after TERM: /ready answers 503 while clients are still accepted (off)", true},
    {"--drain-timeout", "TIME", kTimeoutGroup,
     "after TERM: until remaining sessions are ended (30s)", true},
    {"--handover-timeout", "TIME", kTimeoutGroup,
     "after USR2: until remaining sessions of the old process are ended (off)", true},

    {"--resolv-conf", "FILE", kNamesGroup, "file that lists the name servers (/etc/resolv.conf)"},
    {"--dns-refresh", "TIME", kNamesGroup,
     "look up names in use again after TIME; off: look up once (30s)"},
    {"--dns-timeout", "TIME", kNamesGroup, "lookup of one name, at all name servers (4s)"},

    {"--version", nullptr, "Help", "print the version and exit"},
    {"-h,--help", nullptr, "Help", "print this help and exit; with -P MODULE its options, too"},
};

struct DurationRow {
  const char* name;
  Millis Settings::*member;
  bool reload = true;  // as in the row of the option
};

inline constexpr DurationRow kDurationRows[] = {
    {"connect-timeout", &Settings::connect_timeout},
    {"first-byte-timeout", &Settings::first_byte_timeout},
    {"login-timeout", &Settings::login_timeout},
    {"half-close-timeout", &Settings::half_close_timeout},
    {"idle-timeout", &Settings::idle_timeout},
    {"drain-delay", &Settings::drain_delay},
    {"drain-timeout", &Settings::drain_timeout},
    {"handover-timeout", &Settings::handover_timeout},
    {"health-check", &Settings::health_check, false},
    {"map-ttl", &Settings::map_ttl, false},
    {"map-negative-ttl", &Settings::map_negative_ttl, false},
    {"map-stale", &Settings::map_stale, false},
    {"map-timeout", &Settings::map_timeout, false},
    {"dns-refresh", &Settings::dns_refresh, false},
    {"dns-timeout", &Settings::dns_timeout, false},
};

// Options of 2.1 and 6.7 that are understood and in rum(8), OLDER VERSIONS, but not in --help.
struct OldName {
  const char* flags;              // as in OptionRow
  const char* now;                // the long name today; may be an option of a module
  const char* implied = nullptr;  // the old one is a flag and stands for this value
  const char* balance = nullptr;  // it also stands for this value of --balance
};

inline constexpr OldName kOldNames[] = {
    {"-f,--failover", "destination"},
    {"-R,--failover-r", "destination", nullptr, "random"},
    {"-v,--verbose", "log-level", "debug"},
    {"--source", "listen"},
    {"-g,--geoip", "geo-db"},
    {"--" RUM_OLD_MAP_OPTION, "map"},
    {"--" RUM_OTHER_MAP_OPTION, "map"},  // its module is another
    {"--dbtype", RUM_DBTYPE_OPTION},
    {"--logfile", "log"},
    {"--loglogins", "log-logins", "1"},
    {"--read-timeout", "first-byte-timeout"},
    {"--ssl-server", "tls", "on"},
    {"--ssl-cert", "tls-cert"},
    {"--ssl-key", "tls-key"},
    {"--ssl-ciphers", "tls-ciphers"},
    {"--ssl-min-proto", "tls-min-version"},
};

// Options that are not understood any more: an error says what to do instead.
struct GoneOption {
  const char* name;
  char letter;
  const char* version;  // that had it; nullptr: builds before 1.0.0 only
  const char* instead;
};

inline constexpr GoneOption kGoneOptions[] = {
    {"ssl-max-proto", 0, "6.7", "remove it; TLS 1.3 is used if both sides support it"},
    {"ext", 'E', "6.7",
     "write --map with the address of the service, such as http://127.0.0.1:8080/users/{user}; see "
     "MAPS ON OTHER MACHINES in rum(8)"},
    {"ext-timeout", 0, "6.7", "write --map-timeout"},
    {"from", 0, nullptr, "write --explain USER@IP"},
    {"group", 0, nullptr, "write --user NAME:GROUP"},
    {"login-block", 0, nullptr, "write --login-failures N/TIME,block=TIME"},
    {"random", 0, nullptr, "write --destination with the list, and --balance random"},
};

inline constexpr const char* kAbout =
    "rum is a proxy for TCP and unix sockets; modules teach it protocols.";

inline constexpr const char* kFooter =
    "Examples:\n"
    "  rum -s tcp:0.0.0.0:110 -d tcp:pop3.example.net:110 -b\n"
    "      forwards port 110, in the background\n"
    "  rum -s tcp:0.0.0.0:3306 -d tcp:db0:3306 -M users.cdb -m tcp:127.0.0.1:8306\n"
    "      sends each user to the server that users.cdb names, all others to db0\n"
    "\n"
    "Signals: TERM drains and exits, a second TERM or QUIT exits at once; HUP reads options,\n"
    "certificates and map again and reopens the log; USR1 reopens the log; USR2 hands over to a\n"
    "new process without closing a connection.\n"
    "Exit: 0 success, 1 configuration, 2 usage, 3 address, 4 map, 5 module, 6 system.\n"
    "Options of rum 2.1 and 6.7 still work: see OLDER VERSIONS in rum(8).\n"
    "More: man rum";

}  // namespace rum

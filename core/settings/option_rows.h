// The table of rum's own options: --help, the manual and the completion come from these rows, and a
// test fails on a row that the manual does not have.
#pragma once

#include "config.h"
#include "settings/settings.h"

namespace rum {

// The group of what rumctl can set.
inline constexpr const char* kLimitsGroup = "Limits";

struct OptionRow {
  const char* flags;
  const char* value;  // nullptr: a flag
  const char* group;
  const char* help;
  bool reload = false;  // HUP applies a change of it; others need a new process
};

inline constexpr OptionRow kOptionRows[] = {
    {"-s,--listen", "ADDR", "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "listen here; may be repeated"},
    {"-d,--destination", "ADDR[,ADDR...]",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "the default destination; of several the first that answers is taken", true},
    {"-f,--failover", "ADDR[,ADDR...]",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "the same as -d with a list", true},
    {"-R,--random", "ADDR[,ADDR...]",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "the same as -d with a list and --balance random", true},
    {"--balance", "first|round-robin|random|least|source",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "which server of the list of -d: least by sessions, source by the client's address; when it "
     "fails the next one (first)",
     true},
    {"--breaker", "N/TIME|off",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "leave a server alone for a while when so many attempts in a row failed (5/10s)", true},
    {"--socket-mode", "OCTAL",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "the mode of unix sockets that rum listens on (0777)"},
    {"--source-address", "IP[,IP...]",
     "Addresses (tcp:HOST:PORT, tls:HOST:PORT, tcp:[IPV6]:PORT, sock:PATH)",
     "connect to servers from this address; from the next one when its ports are used up", true},

    {"-P,--protocol", "MODULE", "Protocol",
     "the module that leads the conversation (passthrough.so; with -M " RUM_MAP_MODULE ")"},
    {"-M,--map", "FILE", "Protocol",
     "the user map, a CDB made by rum-map; taken anew when replaced"},
    {"--module-dir", "DIR", "Protocol", "where modules are (" RUM_MODULE_DIR ")"},
    {"--state-dir", "DIR", "Protocol",
     "where rum keeps what it has learned, and its own certificate (" RUM_STATE_DIR ")"},

    {"--tls", "off|on|require", "TLS",
     "offer TLS to clients inside the protocol, or insist on it (off)", true},
    {"--tls-cert", "FILE", "TLS",
     "certificate and chain, PEM; without it rum makes one that signs itself", true},
    {"--tls-key", "FILE", "TLS", "its key, PEM (in the file of --tls-cert)", true},
    {"--tls-ca", "FILE", "TLS", "clients must show a certificate signed by one of these", true},
    {"--tls-min-version", "1.2|1.3", "TLS", "the oldest version of TLS, on both sides (1.2)", true},
    {"--tls-ciphers", "LIST", "TLS", "ciphers for TLS 1.2 as OpenSSL writes them", true},
    {"--upstream-tls", "mirror|off|require|verify", "TLS",
     "TLS to servers: when the client has it, never, always, or always and verified (mirror)",
     true},
    {"--upstream-tls-ca", "FILE", "TLS", "authorities for verify (the system's)", true},
    {"--upstream-tls-name", "NAME", "TLS",
     "the name that servers' certificates must have (the host)", true},

    {"--proxy-from", "NET[,NET...]", "Clients",
     "clients from these networks, such as 10.0.0.0/8 or unix, send a PROXY header first (none)",
     true},
    {"--send-proxy", "off|v1|v2", "Clients",
     "tell servers the client's address by a PROXY header (off)", true},
    {"--allow", "[LISTENER=]NET[,NET...]", "Clients",
     "only clients from these networks and addresses are accepted, or by this listener (all)",
     true},
    {"--deny", "[LISTENER=]NET[,NET...]", "Clients",
     "clients from these are refused, whatever --allow says", true},

    {"--max-connections", "N", "Limits", "connections of clients at a time (off)", true},
    {"--max-connections-per-ip", "N", "Limits", "of one address at a time (off)", true},
    {"--ip-prefix", "BITS", "Limits", "IPv6 addresses of one network count as one (64)", true},
    {"--max-connecting", "N", "Limits", "clients whose login is not over, at a time (off)", true},
    {"--max-connecting-per-destination", "N", "Limits",
     "of these, clients on their way to one destination (off)", true},
    {"--server-backlog", "N", "Limits",
     "clients that wait for one server's first byte at a time; others wait for their turn (50)",
     true},
    {"--connection-rate", "N/TIME", "Limits", "new connections, such as 500/s (off)", true},
    {"--connection-rate-per-ip", "N/TIME", "Limits",
     "new connections of one address, such as 10/s (off)", true},
    {"--max-memory", "BYTES", "Limits",
     "of the process, such as 512M or 2G: beyond it clients are refused (off)", true},
    {"--max-connections-per-user", "N", "Limits",
     "connections of one user at a time; the map may say otherwise (off)", true},
    {"--user-rate", "N/TIME", "Limits",
     "logins of one user, such as 5/s or 100/m; the map may say otherwise (off)", true},
    {"--login-failures", "N/TIME", "Limits",
     "block an address from which so many logins fail, such as 20/m (off)", true},
    {"--login-block", "TIME", "Limits", "for how long it is blocked (1m)", true},
    {"--login-exempt", "NET[,NET...]", "Limits",
     "networks and addresses that are never blocked, such as 10.0.0.0/8,2001:db8::/32", true},

    {"-b,--background", nullptr, "Running",
     "run in the background; returns when everything is bound and loaded"},
    {"-p,--pidfile", "FILE", "Running", "write the process id here"},
    {"--nofile", "N|auto", "Running",
     "the limit of open files; auto: all that the system allows (auto)"},
    {"-w,--workers", "N", "Running", "threads that serve clients (one a core)"},
    {"--user", "NAME", "Running", "become this user when everything is bound and open"},
    {"--group", "NAME", "Running", "and this group (that of --user)"},
    {"--chroot", "DIR", "Running", "make this the root folder before anything is bound or opened"},
    {"--config", "FILE", "Running",
     "read options from FILE and FILE.d/*.conf, as name = value; the command line wins"},
    {"--check", nullptr, "Running",
     "report every mistake in the command line and the map, and end"},
    {"--explain", "USER", "Running",
     "tell what would become of this user's login: record, rules, server and its answer; and end"},
    {"--from", "IP", "Running",
     "with --explain: whether the rules let the user in from there; or unix"},

    {"-m,--stats", "ADDR", "Log and statistics",
     "statistics over HTTP here: /stats (JSON), /metrics (Prometheus), /live, /ready"},
    {"--control", "sock:PATH", "Log and statistics",
     "the same here, with commands for rumctl: only the owner may open it"},
    {"-l,--log", "TARGET", "Log and statistics",
     "stderr, syslog or a file (stderr; with -b syslog)", true},
    {"--log-format", "text|json", "Log and statistics", "the form of log lines (text)", true},
    {"-v,--verbose", nullptr, "Log and statistics", "log what helps to find a fault, too", true},
    {"-L,--log-logins", nullptr, "Log and statistics", "a line for each login when it is through",
     true},

    {"--connect-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "for one attempt to reach a server (6s)", true},
    {"--first-byte-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "for the first byte of a server that speaks first (6s)", true},
    {"--login-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "from accept to the end of the login (8s)", true},
    {"--half-close-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "when one side has ended and nothing moves (30s)", true},
    {"--idle-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)", "when nothing moves (off)",
     true},
    {"--drain-delay", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "how long /ready says 503 after TERM before clients are no longer taken (off)", true},
    {"--drain-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "how long sessions may go on after TERM (30s)", true},
    {"--handover-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "how long sessions may go on in the old process after USR2 (off)", true},
    {"--health-check", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "check the health of each server in use this often; off: never (10s)"},
    {"--dns-refresh", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "ask for names that are in use again after this long; off: once (30s)"},
    {"--dns-timeout", "TIME", "Timeouts (250ms, 6s, 5m, 1h, off)",
     "for looking up one name, at all name servers (4s)"},

    {"--resolv-conf", "FILE", "Protocol", "file that lists the name servers (/etc/resolv.conf)"},

    {"--version", nullptr, "Help", "print the version and end"},
    {"-h,--help", nullptr, "Help", "print this; with -P MODULE the module's options too"},
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
    {"dns-refresh", &Settings::dns_refresh, false},
    {"dns-timeout", &Settings::dns_timeout, false},
};

// Names that version 6.7 had: understood, and in rum(8), but not in --help. `now` may be an option
// of a module. `implied`: the old one is a flag that stands for this value.
struct OldName {
  const char* old;
  const char* now;
  const char* implied;
};

inline constexpr OldName kOldNames[] = {
    {"source", "listen", nullptr},
    {"failover-r", "random", nullptr},
    {RUM_OLD_MAP_OPTION, "map", nullptr},
    {"dbtype", RUM_DBTYPE_OPTION, nullptr},
    {"logfile", "log", nullptr},
    {"loglogins", "log-logins", "1"},
    {"read-timeout", "first-byte-timeout", nullptr},
    {"ssl-server", "tls", "on"},
    {"ssl-cert", "tls-cert", nullptr},
    {"ssl-key", "tls-key", nullptr},
    {"ssl-ciphers", "tls-ciphers", nullptr},
    {"ssl-min-proto", "tls-min-version", nullptr},
};

// Options of version 6.7 that are not understood: an error says what to do instead.
struct GoneOption {
  const char* name;
  char letter;
  const char* instead;
};

inline constexpr GoneOption kGoneOptions[] = {
    {"ssl-max-proto", 0, "leave it out; TLS 1.3 is used when both sides have it"},
    {"geoip", 'g', "there are no rules about countries; allow= and deny= in the map name networks"},
    {"ext", 'E', "nobody else is asked for users; put them into the map, see rum-map(1)"},
    {"ext-timeout", 0, "nobody else is asked for users; put them into the map, see rum-map(1)"},
    {RUM_GONE_MAP_OPTION, 0, "there is no module for it; -P names a module now"},
};

inline constexpr const char* kAbout =
    "rum passes TCP and unix-socket connections on; modules know protocols.";

inline constexpr const char* kFooter =
    "Examples:\n"
    "  rum -s tcp:0.0.0.0:110 -d tcp:pop3.example.net:110 -b\n"
    "      passes port 110 on, in the background\n"
    "  rum -s tcp:0.0.0.0:3306 -d tcp:db0:3306 -M users.cdb -m tcp:127.0.0.1:8306\n"
    "      sends each user to the server that users.cdb names, the others to db0\n"
    "\n"
    "TERM drains and ends, a second TERM or QUIT ends at once; HUP reads the options again, looks\n"
    "at the map now and opens the log again, USR1 opens the log again; USR2 hands over to a new\n"
    "process. Exit: 0 fine, 1 configuration, 2 usage, 3 address, 4 map, 5 module, 6 system.\n"
    "More: man rum";

}  // namespace rum

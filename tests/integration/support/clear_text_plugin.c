/* A server plugin "clear_text" for MySQL and MariaDB: asks the client for mysql_clear_password, and
 * compares its answer with the authentication string of the account. Neither server's packages have
 * such a plugin without further dependencies. The structs are those of the servers' plugin
 * interfaces; the servers check the versions in them. */
#include <stddef.h>
#include <string.h>

struct vio {
  int (*read_packet)(struct vio* vio, unsigned char** packet);
  int (*write_packet)(struct vio* vio, const unsigned char* packet, int size);
};

struct auth_info { /* the beginning, the same in both servers */
  const char* user_name;
  unsigned user_name_length;
  const char* auth_string;
  unsigned long auth_string_length;
};

enum { kAccepted = -1, kDenied = 0, kAuthentication = 7, kStable = 5 };

static int Authenticate(struct vio* vio, struct auth_info* info) {
  unsigned char* packet = NULL;
  /* The empty packet makes the server switch the client to the right plugin. */
  int size = vio->read_packet(vio, &packet);
  if (size < 1) return kDenied;
  size_t length = strnlen((const char*)packet, (size_t)size);
  return length == info->auth_string_length && memcmp(packet, info->auth_string, length) == 0
             ? kAccepted
             : kDenied;
}

static int KeepString(char* out, unsigned* out_size, const char* in, unsigned size) {
  if (size > *out_size) return 1;
  memcpy(out, in, size);
  *out_size = size;
  return 0;
}

static int AcceptString(char* in, unsigned size) { return (void)in, (void)size, 0; }

static int NoSalt(const char* in, unsigned size, unsigned char* salt, unsigned char* salt_size) {
  (void)in, (void)size, (void)salt;
  *salt_size = 0;
  return 0;
}

static struct {
  int version;
  const char* client_plugin;
  int (*authenticate)(struct vio*, struct auth_info*);
  int (*generate)(char*, unsigned*, const char*, unsigned);
  int (*validate)(char*, unsigned);
  int (*set_salt)(const char*, unsigned, unsigned char*, unsigned char*);
  unsigned long flags;
  void* compare;
} mysql_auth = {0x0201, "mysql_clear_password", Authenticate, KeepString, AcceptString, NoSalt, 0,
                NULL};

static struct {
  int version;
  const char* client_plugin;
  int (*authenticate)(struct vio*, struct auth_info*);
  void* hash_password;
  void* preprocess_hash;
} mariadb_auth = {0x0202, "mysql_clear_password", Authenticate, NULL, NULL};

struct mysql_plugin {
  int type;
  void* info;
  const char *name, *author, *description;
  int license;
  void *init, *check_uninstall, *deinit;
  unsigned version;
  void *status, *system, *reserved;
  unsigned long flags;
};

struct mariadb_plugin {
  int type;
  void* info;
  const char *name, *author, *description;
  int license;
  void *init, *deinit;
  unsigned version;
  void *status, *system;
  const char* version_text;
  unsigned maturity;
};

int _mysql_plugin_interface_version_ = 0x010B;
int _mysql_sizeof_struct_st_plugin_ = sizeof(struct mysql_plugin);
struct mysql_plugin _mysql_plugin_declarations_[] = {
    {kAuthentication, &mysql_auth, "clear_text", "rum", "for tests", 1, NULL, NULL, NULL, 0x0100,
     NULL, NULL, NULL, 0},
    {0}};

int _maria_plugin_interface_version_ = 0x010F;
int _maria_sizeof_struct_st_plugin_ = sizeof(struct mariadb_plugin);
struct mariadb_plugin _maria_plugin_declarations_[] = {
    {kAuthentication, &mariadb_auth, "clear_text", "rum", "for tests", 1, NULL, NULL, 0x0100, NULL,
     NULL, "1.0", kStable},
    {0}};

// HTTPS to 127.0.0.1 under a name: tls.js PORT NAME AUTHORITY. Prints the answer's body.
const [port, name, authority] = process.argv.slice(2);
const options = {host: '127.0.0.1', port, servername: name, headers: {Host: name},
                 ca: require('fs').readFileSync(authority)};
require('https').get(options, answer => answer.pipe(process.stdout)).on('error', error => {
  console.error(error);
  process.exitCode = 1;
});

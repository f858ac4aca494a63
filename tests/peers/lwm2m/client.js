// A device at an LwM2M server: node client.js PORT EID. Commands on stdin, events on stdout, one JSON a line.
'use strict';
const readline = require('readline');
const client = require('lwm2m-node-lib').client;

const [port, eid] = process.argv.slice(2);
const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');
// The library sends value.toString(): a buffer goes out as it is.
const octets = (hex) => ({ toString: () => Buffer.from(hex, 'hex') });
const text = (hex) => Buffer.from(hex || '', 'utf8').toString('hex');

const ipv4 = { ipProtocol: 'udp4', serverProtocol: 'udp4' };
client.init({ client: { lifetime: '300', version: '1.0', logLevel: 'FATAL', observe: { period: 3000 }, ...ipv4 } });

const set = (number, value) => new Promise((done) => client.registry.setResource('/3443/0', number, value, done));

client.registry.create('/3443/0', async () => {
  await set('0', '0');
  await set('1', eid);
  await set('2', ' ');
  await set('3', octets(''));
  await set('4', ' ');
  client.register('127.0.0.1', port, null, 'urn:eid:' + eid, (error, information) => {
    if (error) {
      tell({ event: 'refused', error: error.name });
      process.exit(1);
    }
    const serverInfo = information.serverInfo;
    client.setHandler(serverInfo, 'write', (type, id, resource, value, callback) => {
      tell({ event: 'write', resource, hex: text(value) });
      callback();
    });
    client.setHandler(serverInfo, 'execute', (type, id, resource, value, callback) => {
      tell({ event: 'execute', resource });
      callback(null);
    });
    tell({ event: 'registered', location: information.location });
    readline.createInterface({ input: process.stdin }).on('line', async (line) => {
      const command = JSON.parse(line);
      if (command.say) await set('3', octets(command.say));
      if (command.end) client.unregister(information, () => process.exit(0));
    });
  });
});

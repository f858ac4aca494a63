// An LwM2M server: node server.js PORT. Commands on stdin, events on stdout, one JSON a line.
'use strict';
const readline = require('readline');
const server = require('lwm2m-node-lib').server;

const port = Number(process.argv[2]);
const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const hex = (value) => Buffer.from(value || '', 'utf8').toString('hex');

const config = {
  port, lifetimeCheckInterval: 1000, udpWindow: 100, defaultType: 'Device', types: [], logLevel: 'FATAL',
  ipProtocol: 'udp4', serverProtocol: 'udp4',
  formats: [{ name: 'keim/text', value: 0 }],
  writeFormat: 'application/octet-stream', defaultAcceptFormat: 'application/octet-stream',
};

server.start(config, (error, serverInfo) => {
  if (error) {
    tell({ event: 'failed', error: String(error) });
    process.exit(1);
  }
  server.setHandler(serverInfo, 'registration', (endpoint, lifetime, version, binding, payload, callback) => {
    tell({ event: 'registered', endpoint, lifetime, payload });
    callback();
  });
  server.setHandler(serverInfo, 'updateRegistration', (object, callback) => {
    tell({ event: 'updated' });
    callback();
  });
  server.setHandler(serverInfo, 'unregistration', (object, callback) => {
    tell({ event: 'left' });
    callback();
  });
  tell({ event: 'listening' });
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const command = JSON.parse(line);
    const done = (error, value) => tell({ event: command.do, error: error ? error.name : null, hex: hex(value) });
    server.getDevice(command.endpoint, (error, device) => {
      if (error) return done(error);
      const where = [device.id, '3443', '0', command.resource];
      if (command.do === 'read') server.read(...where, done);
      if (command.do === 'write') server.write(...where, Buffer.from(command.hex, 'hex'), done);
      if (command.do === 'execute') server.execute(...where, '', done);
      if (command.do === 'observe') {
        server.observe(...where, (value) => tell({ event: 'notified', hex: hex(value) }), done);
      }
    });
  });
});

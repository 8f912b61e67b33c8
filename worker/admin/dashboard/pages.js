// What is loaded when the Overview is left for the first time: the other pages, and the help.
import endpoints from './endpoints.js';
import requests from './requests.js';
import usage from './usage.js';
import events from './events.js';
import logs from './logs.js';
import config from './config.js';
import system from './system.js';
import { help } from './help.js';

export default { endpoints, requests, usage, events, logs, config, system };
export { help };

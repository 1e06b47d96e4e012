# Runs OpenStack Swift with its S3 interface in one process, for tests: account, container, object and proxy server, one device.
#
#   python3 swift-s3.py <directory> <port> <access key> <secret key> [conditional]      prints "ready" when it answers
#
# A file `faults` in the directory holds a line `<status> <method or *> <times>`: so many requests are answered with that status
# and do not reach Swift.
import array
import collections
import os
import sys

import eventlet
import eventlet.wsgi

eventlet.patcher.monkey_patch(all=False, socket=True, select=True, thread=True)

directory, port, access, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
device = os.path.join(directory, 'devices', 'disk')
os.makedirs(device, exist_ok=True)
conf = os.path.join(directory, 'swift.conf')
with open(conf, 'w') as file:
    file.write('[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = only\ndefault = yes\n')

from swift.common import storage_policy, utils  # noqa: E402

utils.SWIFT_CONF_FILE = conf
utils.HASH_PATH_SUFFIX = b'test'
storage_policy.reload_storage_policies()

from swift.account.server import AccountController  # noqa: E402
from swift.common.ring import RingData  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.obj.server import ObjectController  # noqa: E402
from swift.proxy.server import Application  # noqa: E402
from swift.common.middleware import bulk, catch_errors, listing_formats, slo, tempauth  # noqa: E402
from swift.common.middleware.s3api import s3api, s3request  # noqa: E402

logger = utils.get_logger({'log_facility': '/dev/null'}, name='swift', log_route='swift')
common = {
    'devices': os.path.join(directory, 'devices'),
    'swift_dir': directory,
    'mount_check': 'false',
    'bind_ip': '127.0.0.1',
    'disable_fallocate': 'true',
    'fallocate_reserve': '0',
    'conn_timeout': '5',
    'node_timeout': '20',
}


class Cache:
    """What memcached would keep."""

    def __init__(self, inner):
        self.inner = inner
        self.kept = {}

    def __call__(self, env, start_response):
        env['swift.cache'] = self
        return self.inner(env, start_response)

    def get(self, key, *_, **__):
        return self.kept.get(key)

    def set(self, key, value, *_, **__):
        self.kept[key] = value

    def incr(self, key, delta=1, *_, **__):
        self.kept[key] = int(self.kept.get(key) or 0) + delta
        return self.kept[key]

    decr = incr

    def delete(self, key, *_, **__):
        self.kept.pop(key, None)


# Swift itself knows `If-None-Match: *`; its S3 interface refuses it. Let through, one at a time for each name, it behaves as that of
# AWS and MinIO does.
refuse_conditions = s3request.S3Request._validate_headers


def take_condition(self):
    condition = self.headers.pop('If-None-Match', None) if self.method == 'PUT' else None
    refuse_conditions(self)
    if condition is not None:
        self.headers['If-None-Match'] = condition


class Conditions:
    def __init__(self, inner):
        self.inner = inner
        self.turns = collections.defaultdict(eventlet.semaphore.Semaphore)

    def __call__(self, env, start_response):
        if env['REQUEST_METHOD'] != 'PUT' or 'HTTP_IF_NONE_MATCH' not in env:
            return self.inner(env, start_response)
        with self.turns[env['PATH_INFO']]:
            return list(self.inner(env, start_response))


def listen(at):
    return eventlet.listen(('127.0.0.1', at), reuse_port=False, backlog=200)


def serve(sock, app):
    eventlet.spawn(eventlet.wsgi.server, sock, app, open(os.devnull, 'w'), log_output=False, keepalive=True)


sockets = {kind: listen(0) for kind in ('account', 'container', 'object')}
for kind, sock in sockets.items():
    devs = [{'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'device': 'disk', 'ip': '127.0.0.1',
             'port': sock.getsockname()[1], 'replication_ip': '127.0.0.1', 'replication_port': sock.getsockname()[1]}]
    RingData([array.array('H', [0, 0, 0, 0])], devs, 30).save(os.path.join(directory, kind + '.ring.gz'))
serve(sockets['account'], AccountController(common, logger))
serve(sockets['container'], ContainerController(common, logger))
serve(sockets['object'], ObjectController(common, logger))

app = Application(dict(common, allow_account_management='yes', account_autocreate='yes'), logger=logger)
app = slo.filter_factory({'min_segment_size': '1'})(app)
app = bulk.filter_factory({})(app)
app = tempauth.filter_factory({'user_' + access.replace(':', '_'): secret + ' .admin'})(app)
if 'conditional' in sys.argv:
    s3request.S3Request._validate_headers = take_condition
    app = Conditions(app)
app = s3api.filter_factory({'allow_multipart_uploads': 'true', 's3_acl': 'false', 'min_segment_size': '5242880',
                            'check_bucket_owner': 'false', 'dns_compliant_bucket_names': 'true'})(app)
app = Cache(app)
app = listing_formats.filter_factory({})(app)
app = catch_errors.filter_factory({})(app)


class Faults:
    """Answers with the status that the file asks for, as a store in trouble does."""

    def __init__(self, inner):
        self.inner = inner
        self.path = os.path.join(directory, 'faults')

    def __call__(self, env, start_response):
        try:
            with open(self.path) as file:
                status, method, times = file.read().split()
        except (OSError, ValueError):
            return self.inner(env, start_response)
        if int(times) <= 0 or method not in ('*', env['REQUEST_METHOD']):
            return self.inner(env, start_response)
        with open(self.path, 'w') as file:
            file.write('%s %s %d' % (status, method, int(times) - 1))
        length = int(env.get('CONTENT_LENGTH') or 0)
        while length > 0:
            chunk = env['wsgi.input'].read(min(length, 65536))
            if not chunk:
                break
            length -= len(chunk)
        start_response(status + ' Fault', [('Content-Type', 'application/xml'), ('Content-Length', '0')])
        return [b'']


app = Faults(app)
front = listen(port)
serve(front, app)
print('ready', front.getsockname()[1], flush=True)

while True:
    eventlet.sleep(3600)

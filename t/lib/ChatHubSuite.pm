package ChatHubSuite;

# What the suites t/*.t have in common, for either Test::Nginx::Socket:
#
# - The filter "lua" makes a location /t of Lua code, which has t/lib/chat.lua
#   as "chat".
# - A block without a request asks for /t.
# - A block without http_config gets $Hub.
# - A block whose config has no location /ws gets $Location.
# - A block without no_error_log must log no alert.
#
# handshake(), frame() and close_frame() make bytes for raw_request.  The filter
# "eval" runs in a package of Test::Base, so functions are called with "::".

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Spec;
use Test::Nginx::Socket;

my $lib = File::Spec->rel2abs(dirname(__FILE__));

our $Lua = <<"EOC";
    lua_package_path "$lib/?.lua;/usr/share/lua/5.1/?.lua;;";
    lua_socket_log_errors off;
    init_by_lua_block {
        chat = require "chat"
    }
EOC

our $Hub = hub();

our $Location = <<'EOC';
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
    }
EOC

add_block_preprocessor(sub {
    my ($block) = @_;

    # The hub's lock file lies in the server root, which must be empty to be
    # made anew.
    remove_tree(server_root() . '/chathub');

    if (!defined $block->http_config) {
        $block->set_value(http_config => $Hub);
    }

    if (!defined $block->no_error_log) {
        $block->set_value(no_error_log => '[alert]');
    }

    return if defined $block->must_die;

    my $config = $block->config // '';

    if ($config !~ m{location (?:= )?/ws\b}) {
        $block->set_value(config => $config . $Location);
    }

    if (!defined $block->request && !defined $block->raw_request
        && !defined $block->pipelined_requests)
    {
        $block->set_value(request => 'GET /t');
    }
});

# A sanitizer build on a busy machine is slow, and no block waits for nothing.
timeout(30);
worker_connections(256);
log_level('info');


# An http_config with a hub that has more directives than the usual ones.

sub hub {
    my ($directives) = @_;

    $directives //= '';

    return <<"EOC";
$Lua
    chathub_hub main {
        zone 24m;
        node test-node;
        store off;
        $directives
    }
EOC
}


for my $name (qw(handshake frame close_frame)) {
    no strict 'refs';
    *{"main::$name"} = \&$name;
}


sub main::lua {
    my ($code) = @_;

    return <<"EOC";
    location = /t {
        content_by_lua_block {
$code
        }
    }
EOC
}


# A handshake as bytes.  Lines replace those of the same name; an undefined
# value removes one.  A frame with close 1000 follows, so that the server ends
# the connection.

sub handshake {
    my (%line) = @_;

    my $start = delete $line{''} // 'GET /ws HTTP/1.1';
    my $after = delete $line{after} // close_frame();

    my @lines = (
        ['Host' => 'localhost'],
        ['Connection' => 'Upgrade'],
        ['Upgrade' => 'websocket'],
        ['Sec-WebSocket-Version' => 13],
        ['Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ=='],
    );

    my $head = "$start\r\n";

    for my $default (@lines) {
        my ($key, $value) = @$default;

        $value = delete $line{$key} if exists $line{$key};

        for my $each (ref $value ? @$value : $value) {
            $head .= "$key: $each\r\n" if defined $each;
        }
    }

    for my $key (sort keys %line) {
        my $value = $line{$key};

        $head .= "$key: $_\r\n" for ref $value ? @$value : $value;
    }

    return "$head\r\n$after";
}


# A masked frame; the key is zero, so its payload can be read.

sub frame {
    my ($opcode, $payload, $fin) = @_;

    my $length = length $payload;
    my $first = chr(($fin // 1 ? 0x80 : 0) | $opcode);

    my $size = $length < 126     ? chr(0x80 | $length)
               : $length < 65536 ? pack('Cn', 0xfe, $length)
               :                   pack('CNN', 0xff, 0, $length);

    return "$first$size\0\0\0\0$payload";
}


sub close_frame {
    my ($code) = @_;

    return frame(8, pack 'n', $code // 1000);
}

1;

package Test::Nginx::Socket::Server;

# The nginx under test: its root, its configuration, its life and its logs.

use v5.14;
use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use File::Spec;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

# How long nginx may take to come up and to go, in seconds.  Sanitizer builds
# on a busy machine need more than a moment.
my $LIMIT = 20;

# What must not stand in an error log, whatever a block asks.
my $ALARM = qr{
    \A \d{4}/\d\d/\d\d \s \d\d:\d\d:\d\d \s \[ (?: alert | emerg ) \]
    | exited \s on \s signal
    | ERROR: \s \w+ Sanitizer
    | SUMMARY: \s \w+ Sanitizer
    | :\d+:\d+: \s runtime \s error:
}x;


sub new {
    my ($class) = @_;

    my $self = bless {
        binary        => $ENV{TEST_NGINX_BINARY} || 'nginx',
        modules       => $ENV{TEST_NGINX_LOAD_MODULES} // '',
        sleep         => $ENV{TEST_NGINX_SLEEP} || 0.015,
        hup           => $ENV{TEST_NGINX_USE_HUP},
        log_level     => $ENV{TEST_NGINX_LOG_LEVEL} || 'debug',
        master        => $ENV{TEST_NGINX_MASTER_PROCESS} || 'off',
        verbose       => $ENV{TEST_NGINX_VERBOSE},
        address       => '127.0.0.1',
        name          => 'localhost',
        workers       => 1,
        connections   => 64,
        root_location => 1,
        preamble      => '',
        env           => [],
        running       => 0,
        failure       => '',
        version       => '',
        gone          => [],
        position      => {},
    }, $class;

    my $random = $ENV{TEST_NGINX_RANDOMIZE};

    if ($random) {
        $self->{port} = $self->free_port;
        $self->{client_port} = $self->{port};

    } else {
        my $port = $ENV{TEST_NGINX_PORT};

        $self->{port} = $ENV{TEST_NGINX_SERVER_PORT} || $port
                        || $self->free_port;
        $self->{client_port} = $ENV{TEST_NGINX_CLIENT_PORT} || $self->{port};
    }

    $self->{root} = $random
        ? File::Spec->rel2abs("t/servroot_$self->{port}")
        : File::Spec->rel2abs($ENV{TEST_NGINX_SERVROOT} || 't/servroot');

    $self->{random} = $random;

    $self->{error_log} = "$self->{root}/logs/error.log";
    $self->{access_log} = "$self->{root}/logs/access.log";
    $self->{stderr} = "$self->{root}/logs/stderr.log";
    $self->{pid_file} = "$self->{root}/logs/nginx.pid";
    $self->{conf_file} = "$self->{root}/conf/nginx.conf";

    return $self;
}


# A port that nobody listens on, below those that the system gives to clients.

sub free_port {
    my ($self, @taken) = @_;

    my %taken = map { $_ => 1 } grep { defined } @taken, $self->{port};

    for (1 .. 1000) {
        my $port = 10_000 + int rand 20_000;

        next if $taken{$port};

        my $socket = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1',
            LocalPort => $port,
            Proto     => 'tcp',
            Listen    => 1,
            ReuseAddr => 1,
        );

        return $port if $socket;
    }

    die "no free port on 127.0.0.1\n";
}


# Makes nginx run with the block's configuration: by a reload where one runs and
# reloads are asked for, else by a start from nothing.  True when it serves.

sub serve {
    my ($self, $block, $config, $ports) = @_;

    if ($self->{hup}) {
        $self->{master} = 'on';
        $self->{version} = join '', map { int rand 10 } 1 .. 12;

        return $self->reload($block, $config, $ports) if $self->{running};
    }

    $self->stop;
    $self->set_up($block, $config, $ports);

    my $end = time + $LIMIT;

    while (1) {
        my $status = $self->start;

        return 1 if $status == 0;

        $self->{failure} = "exit status " . ($status >> 8) . "\n"
                           . read_file($self->{stderr});

        # Another process may hold the port for a moment, nothing else passes.
        last if $self->{failure} !~ /Address already in use/ || time > $end;

        sleep 0.1;
        $self->set_up($block, $config, $ports);
    }

    return 0;
}


sub set_up {
    my ($self, $block, $config, $ports) = @_;

    my $root = $self->{root};

    # The name may be a mistake: nothing is removed but what a server root has.
    remove_tree("$root/conf", "$root/logs", "$root/html", "$root/cache",
                "$root/chathub", glob("$root/*_temp"), glob("$root/*_cache"));

    make_path("$root/conf", "$root/logs", "$root/html");

    $self->{position} = {};

    $self->write_block_files($block, $config, $ports);

    return;
}


sub write_block_files {
    my ($self, $block, $config, $ports) = @_;

    write_file("$self->{root}/html/index.html",
               "<html><body>It works!</body></html>");

    Test::Nginx::Socket::evaluate(scalar $block->post_setup_server_root,
                                  $block->name . ' - post_setup_server_root');

    $self->write_user_files($block, $ports);

    write_file($self->{conf_file}, $self->config($block, $config, $ports));

    return;
}


sub write_user_files {
    my ($self, $block, $ports) = @_;

    my $files = $block->user_files;

    return if !defined $files;

    if (!ref $files) {
        my @parts = split /^>>> (\S+)(?:[ \t]+(\S+))?[ \t]*\n/m, $files;
        my @files;

        shift @parts;

        while (@parts) {
            my ($path, $date, $body) = splice @parts, 0, 3;
            push @files, [ $path, $body, $date ];
        }

        $files = \@files;
    }

    for my $file (@$files) {
        my ($path, $body, $date) = @$file;

        if ($path !~ m{\A/}) {
            $path = "$self->{root}/html/$path";
        }

        make_path($path =~ m{\A(.*)/}s);

        write_file($path, Test::Nginx::Socket::expand($body // '',
                                                      $block->name, $ports));

        if (defined $date) {
            local $ENV{TZ} = 'GMT';
            system('touch', '-t', $date, $path) == 0
                or die "cannot set the time of $path\n";
        }
    }

    return;
}


sub config {
    my ($self, $block, $config, $ports) = @_;

    my $root = $self->{root};
    my $expand = sub {
        Test::Nginx::Socket::expand($_[0] // '', $block->name, $ports);
    };

    my $main = $expand->(scalar $block->main_config);
    my $post_main = $expand->(scalar $block->post_main_config);
    my $http = $expand->(scalar $block->http_config);
    my $level = $block->log_level // $self->{log_level};
    my $name = $block->server_name // $self->{name};
    my $listen = $self->listen_line;
    my $user = $self->user_line;
    my $modules = join "\n", map { "load_module $_;" }
                             split ' ', $self->{modules};
    my $env = join "\n", map { "env $_;" }
                         qw(LD_PRELOAD LD_LIBRARY_PATH ASAN_OPTIONS
                            LSAN_OPTIONS UBSAN_OPTIONS),
                         map { /\s/ ? "'$_'" : $_ } @{ $self->{env} };
    my $temp = join "\n    ", $self->temp_paths($http);
    my $postpone = $self->postpone_line($http);
    my $event = $ENV{TEST_NGINX_EVENT_TYPE}
                ? "use $ENV{TEST_NGINX_EVENT_TYPE};" : '';
    my $root_location = $self->{root_location} ? <<"EOC" : '';
        location / {
            root $root/html;
            index index.html index.htm;
        }
EOC
    my $version = $self->{hup} ? <<"EOC" : '';
    server {
        $listen
        server_name 'Test-Nginx';
        location = /ver {
            return 200 '$self->{version}';
        }
    }
EOC

    chomp($level, $name);
    $name =~ s/([\\'])/\\$1/g;

    return <<"EOC";
$user
worker_processes $self->{workers};
daemon on;
master_process $self->{master};
error_log $self->{error_log} $level;
pid $self->{pid_file};
$env
$modules
$main

http {
    access_log $self->{access_log};
    $temp
    $postpone
    default_type text/plain;
    keepalive_timeout 68s;

$http
    server {
        $listen
        server_name '$name';
        client_max_body_size 30m;

$self->{preamble}
$config
$root_location
    }
$version
}

$post_main

events {
    accept_mutex off;
    worker_connections $self->{connections};
    $event
}
EOC
}


sub listen_line {
    my ($self) = @_;

    my $options = $ENV{TEST_NGINX_REUSE_PORT} ? ' reuseport' : '';

    return "listen $self->{address}:$self->{port}$options;";
}


sub user_line {
    my ($self) = @_;

    my $user = $ENV{TEST_NGINX_WORKER_USER};

    return "user $user;" if defined $user;

    # Root's workers must read a server root below a private folder.
    return $> == 0 ? 'user root;' : '';
}


sub temp_paths {
    my ($self, $http) = @_;

    $self->{build} //= `$self->{binary} -V 2>&1`;

    my @paths;

    for my $kind (qw(client_body proxy fastcgi scgi uwsgi)) {
        next if $self->{build} =~ /--without-http_${kind}_module/;
        next if $http =~ /\b${kind}_temp_path\b/;

        push @paths, "${kind}_temp_path $self->{root}/${kind}_temp;";
    }

    return @paths;
}


sub postpone_line {
    my ($self, $http) = @_;

    my $size = $ENV{TEST_NGINX_POSTPONE_OUTPUT};

    return '' if !defined $size || $http =~ /\bpostpone_output\b/;

    die "bad TEST_NGINX_POSTPONE_OUTPUT\n" if $size !~ /\A\d+\z/;

    return "postpone_output $size;";
}


# Runs the binary, which leaves a daemon.  Returns the wait status of the
# command; 0 only when the daemon is there.

sub start {
    my ($self) = @_;

    my @command = ($self->{binary}, '-e', $self->{error_log},
                   '-p', "$self->{root}/", '-c', $self->{conf_file});

    warn "starting: @command\n" if $self->{verbose};

    unlink $self->{pid_file};

    my $before = -s $self->{stderr} // 0;

    open my $null, '+<', '/dev/null' or die "cannot open /dev/null: $!\n";
    open my $stderr, '>>', $self->{stderr}
        or die "cannot open $self->{stderr}: $!\n";

    my $pid = fork // die "fork() failed: $!\n";

    if ($pid == 0) {
        local $SIG{__DIE__} = 'DEFAULT';

        open STDIN, '<&', $null;
        open STDOUT, '>&', $null;
        open STDERR, '>&', $stderr;

        exec { $command[0] } @command
            or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    my $status = $?;

    if ($status == 127 << 8) {
        return -1;
    }

    if ($self->{verbose}) {
        warn substr read_file($self->{stderr}), $before;
    }

    if ($status == 0) {
        $self->{pid} = $self->wait_for_pid;
        $self->{running} = defined $self->{pid};

        if (!$self->{running}) {
            push @{ $self->{gone} }, 'nginx started, but wrote no pid file';
            return 1 << 8;
        }
    }

    return $status;
}


sub wait_for_pid {
    my ($self) = @_;

    my $end = time + $LIMIT;

    while (time < $end) {
        if (-s $self->{pid_file}) {
            my ($pid) = read_file($self->{pid_file}) =~ /\A(\d+)\n/;
            return $pid if defined $pid && is_running($pid);
        }

        sleep 0.002;
    }

    return;
}


sub reload {
    my ($self, $block, $config, $ports) = @_;

    remove_tree("$self->{root}/conf", { keep_root => 1 });
    remove_tree("$self->{root}/html", { keep_root => 1 });

    $self->advance_error_log($self->error_log_lines);
    $self->write_block_files($block, $config, $ports);

    kill 'HUP', $self->{pid};

    my ($same, $end) = (0, time + $LIMIT);

    # Workers of the old configuration accept until they have seen the signal,
    # so one right answer proves nothing.
    while ($same < 20) {
        if (time > $end) {
            $self->{failure} = 'the reload did not take effect';
            return 0;
        }

        if ($self->fetch_version eq $self->{version}) {
            $same++;

        } else {
            $same = 0;
            sleep $self->{sleep};
        }
    }

    return 1;
}


sub fetch_version {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => $self->{address},
        PeerPort => $self->{port},
        Proto    => 'tcp',
        Timeout  => $LIMIT,
    ) or return '';

    print {$socket} "GET /ver HTTP/1.0\r\nHost: Test-Nginx\r\n\r\n";

    my $answer = do { local $/ = undef; <$socket> };

    return $answer =~ /\r\n\r\n(.*)\z/s ? $1 : '';
}


# Stops nginx and sees that it is gone; a master goes after its workers.  What
# does not go is killed, and counted as a problem.  nginx leads a process group
# of its own.

sub stop {
    my ($self) = @_;

    return if !$self->{running};

    my $pid = $self->{pid};

    $self->{running} = 0;

    if (!is_running($pid)) {
        push @{ $self->{gone} }, "nginx (pid $pid) was gone before its stop";
        kill 'KILL', -$pid;
    }

    kill $ENV{TEST_NGINX_FAST_SHUTDOWN} ? 'TERM' : 'QUIT', $pid;

    my $end = time + $LIMIT;
    my $patience = time + $LIMIT / 2;

    while (is_running($pid)) {
        if (time > $end) {
            push @{ $self->{gone} }, "nginx (pid $pid) did not stop";
            kill 'KILL', -$pid;
            last;
        }

        if (time > $patience) {
            push @{ $self->{gone} }, "nginx (pid $pid) did not quit";
            kill 'TERM', $pid;
            $patience = $end + 1;
        }

        sleep 0.005;
    }

    while (is_running($pid)) {
        sleep 0.005;
    }

    unlink $self->{pid_file};

    return;
}


sub alive {
    my ($self) = @_;

    return $self->{running} && is_running($self->{pid});
}


# A zombie that nobody has reaped yet does not run.

sub is_running {
    my ($pid) = @_;

    return 0 if !kill 0, $pid;

    my $stat = eval { read_file("/proc/$pid/stat") };

    return defined $stat && $stat !~ /\A\d+ \(.*\) [ZX] /s;
}


# What is wrong with nginx since the last time that this was asked, apart from
# lines that one of the patterns knows.

sub problems {
    my ($self, @allowed) = @_;

    my @found = splice @{ $self->{gone} };

    for my $log ($self->{error_log}, $self->{stderr}) {
        my $lines = $self->lines_from($log, "problems $log");

        # A line is judged when it is whole.
        if (@$lines && $lines->[-1] !~ /\n\z/ && $self->{running}) {
            pop @$lines;
        }

        $self->{position}{"problems $log"} += length for @$lines;

        for my $line (grep { $_ =~ $ALARM } @$lines) {
            next if grep { Test::Nginx::Socket::Check::matches($line, $_) }
                    @allowed;

            chomp $line;
            push @found, $line;
        }
    }

    return @found;
}


sub error_log_lines {
    my ($self) = @_;

    return $self->lines_from($self->{error_log}, 'error_log');
}


sub access_log_lines {
    my ($self) = @_;

    return $self->lines_from($self->{access_log}, 'access_log');
}


# Later calls of error_log_lines() see only what comes after the lines.

sub advance_error_log {
    my ($self, $lines) = @_;

    $self->{position}{error_log} += length for @$lines;

    return;
}


sub lines_from {
    my ($self, $path, $key) = @_;

    return [] if !-e $path;

    open my $in, '<:raw', $path or die "cannot open $path: $!\n";

    seek $in, $self->{position}{$key} // 0, 0;

    return [ <$in> ];
}


sub save_error_log {
    my ($self, $title) = @_;

    my $path = $ENV{TEST_NGINX_ERROR_LOG};

    return if !$path || !-s $self->{error_log};

    open my $out, '>>:raw', $path or die "cannot open $path: $!\n";
    print {$out} "\n=== $title\n", read_file($self->{error_log});
    close $out or die "cannot write $path: $!\n";

    return;
}


sub expand_ports {
    my ($self, $text) = @_;

    return $text if !defined $text;

    $text =~ s/\$ServerPort\b/$self->{port}/g;
    $text =~ s/\$ServerPortForClient\b/$self->{client_port}/g;

    return $text;
}


sub remove_random_root {
    my ($self) = @_;

    if ($self->{random} && !$ENV{TEST_NGINX_NO_CLEAN}) {
        remove_tree($self->{root});
    }

    return;
}


sub write_file {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "cannot open $path: $!\n";
    print {$out} $text;
    close $out or die "cannot write $path: $!\n";

    return;
}


sub read_file {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "cannot open $path: $!\n";

    local $/ = undef;

    return scalar <$in>;
}

1;

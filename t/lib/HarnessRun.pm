package HarnessRun;

# Runs pieces of test files under the runner in t/lib, each in a process of its
# own, for the tests of the runner itself.

use v5.14;
use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Spec;
use File::Temp qw(tempdir);

our @EXPORT_OK = qw(run_file run_blocks start_file);

my $lib = File::Spec->rel2abs(dirname(__FILE__));
my $scratch = tempdir('harness-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $count = 0;


# Runs a whole test file.  Returns its wait status, all that it printed, and
# the server root that it used.

sub run_file {
    my ($text, %env) = @_;

    my ($pid, $out, $root) = start_file($text, %env);
    my $printed = do { local $/ = undef; <$out> };

    waitpid $pid, 0;

    return { status => $?, out => $printed // '', root => $root };
}


# Starts one and returns its pid, a handle on what it prints, and its root.

sub start_file {
    my ($text, %env) = @_;

    my $file = sprintf '%s/file%d.t', $scratch, ++$count;
    my $root = "$scratch/root$count";

    open my $test, '>:raw', $file or die "cannot open $file: $!\n";
    print {$test} $text;
    close $test or die "cannot write $file: $!\n";

    my $pid = open(my $out, '-|') // die "cannot fork: $!\n";

    if ($pid == 0) {
        my $binary = $ENV{TEST_NGINX_BINARY};

        delete @ENV{ grep { /\A(?:TEST_|HARNESS_)/ } keys %ENV };

        $ENV{TEST_NGINX_BINARY} = $binary if defined $binary;
        $ENV{TEST_NGINX_SERVROOT} = $root;
        $ENV{TEST_NGINX_LOG_LEVEL} = 'info';
        @ENV{ keys %env } = values %env;

        chdir $scratch or die "cannot enter $scratch: $!\n";
        open STDERR, '>&', \*STDOUT or die "cannot redirect: $!\n";
        exec $^X, "-I$lib", $file or die "cannot run $^X: $!\n";
    }

    return ($pid, $out, $root);
}


# Runs blocks, with Perl code before them, without a plan.

sub run_blocks {
    my ($blocks, %option) = @_;

    my $setup = delete $option{setup} // '';

    return run_file(<<"EOF", %option);
use Test::Nginx::Socket 'no_plan';
no_shuffle();
$setup
run_tests();

__DATA__

$blocks
EOF
}

1;

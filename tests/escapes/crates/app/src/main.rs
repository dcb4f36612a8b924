fn main() {
    attacks::run("run");
}

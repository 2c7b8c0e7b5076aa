//! Whether 64 bytes are a point of P-256 (SEC 1 §3.2.2.1). Where the library is there it looks for itself when it parses the
//! key; a host that checks signatures by itself would find out at the first token, and each in its own way. Public values only,
//! so nothing here needs constant time.

/// Numbers below p, least significant limb first.
type Number = [u64; 4];

/// p = 2^256 − 2^224 + 2^192 + 2^96 − 1.
const P: Number = [u64::MAX, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001];
/// The curve's constant b.
const B: Number = [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7];

/// y² = x³ − 3x + b, that is y² + 3x = x³ + b, and both below p.
pub(super) fn is_on_curve(x: &[u8; 32], y: &[u8; 32]) -> bool {
    let (x, y) = (number(x), number(y));
    let below_p = |number: &Number| number.iter().rev().lt(P.iter().rev());
    let left = || add(multiply(y, y), add(x, add(x, x)));
    let right = || add(multiply(multiply(x, x), x), B);
    below_p(&x) && below_p(&y) && left() == right()
}

fn number(bytes: &[u8; 32]) -> Number {
    let mut number = Number::default();
    for (limb, bytes) in number.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        *limb = bytes.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    number
}

/// Bit by bit: a key is looked at once, so that small beats fast.
fn multiply(a: Number, b: Number) -> Number {
    let mut product = Number::default();
    for limb in b.iter().rev() {
        for bit in (0..64).rev() {
            product = add(product, product);
            if limb >> bit & 1 == 1 {
                product = add(product, a);
            }
        }
    }
    product
}

fn add(a: Number, b: Number) -> Number {
    let mut sum = Number::default();
    let mut carry = false;
    for (i, sum) in sum.iter_mut().enumerate() {
        let (partial, over) = a[i].overflowing_add(b[i]);
        let (total, over_again) = partial.overflowing_add(u64::from(carry));
        (*sum, carry) = (total, over || over_again);
    }
    if carry || sum.iter().rev().ge(P.iter().rev()) {
        let mut borrow = false;
        for (limb, p) in sum.iter_mut().zip(P) {
            let (difference, under) = limb.overflowing_sub(p);
            let (difference, under_again) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, under || under_again);
        }
    }
    sum
}

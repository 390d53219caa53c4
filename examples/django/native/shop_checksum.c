#include <Python.h>

static PyObject *luhn(PyObject *self, PyObject *argument)
{
    Py_ssize_t size;
    const char *digits = PyUnicode_AsUTF8AndSize(argument, &size);
    int sum = 0;
    if (digits == NULL)
        return NULL;
    for (Py_ssize_t place = 0; place < size; place++) {
        int digit = digits[size - 1 - place] - '0';
        if (place % 2)
            digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
        sum += digit;
    }
    return PyBool_FromLong(sum % 10 == 0);
}

static PyMethodDef methods[] = {{"luhn", luhn, METH_O, "Return whether a number's last digit is right."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "shop_checksum", NULL, 0, methods};

PyMODINIT_FUNC PyInit_shop_checksum(void) { return PyModule_Create(&module); }
